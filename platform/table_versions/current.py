"""The versions as this request read them."""

from __future__ import annotations

import threading
from typing import Any

from statements import Statement
from table_versions.models import TableVersion

_VERSIONS: Statement[tuple[str, str]] = Statement(
    lambda: TableVersion.objects.values_list("table", "version").order_by()
)


class _Request(threading.local):
    is_served = False
    versions: dict[str, str] | None = None


_request = _Request()


def begin_request(**_signal: Any) -> None:
    _request.is_served, _request.versions = True, None


def end_request(**_signal: Any) -> None:
    _request.is_served, _request.versions = False, None


def forget() -> None:
    """This request has itself changed something."""
    _request.versions = None


def versions() -> dict[str, str] | None:
    """By table; None outside of requests, where nothing is remembered."""
    if _request.is_served and _request.versions is None:
        _request.versions = dict(_VERSIONS.all())
    return _request.versions
