"""Check of the Host header against ALLOWED_HOSTS, per view instead of per request.

Probes ask by the address of a pod, so that their views accept any host; a dialect refuses a wrong one in its own error
format. All other views raise DisallowedHost, for which Django responds with a plain 400 page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.http import HttpRequest
from django.middleware.common import CommonMiddleware

View = TypeVar("View", bound=Callable[..., Any])


def any_host(view: View) -> View:
    """Mark a view that works with every Host header, or checks it itself."""
    view.any_host = True  # type: ignore[attr-defined]
    return view


class HostCheck(CommonMiddleware):
    """Django's CommonMiddleware, which checks the host once the view is known."""

    def process_request(self, request: HttpRequest) -> None:
        return None

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> None:
        if not getattr(getattr(view, "cls", view), "any_host", False):
            request.get_host()
