"""Reasons for which a request is refused at admission, by the code of ``jobs.errors.Refused``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from .reference import ErrorRow

UNAUTHORIZED = _("Unknown key or wrong secret.")
FORBIDDEN = _("The key may not use this API, or not from this address; or it is disabled or expired.")
INVALID = _("A field has a wrong type or value; the message names it.")
UNAVAILABLE = _("The database is not reachable. Repeat the request after Retry-After.")
INTERNAL = _("Unexpected error of the server.")
TOO_LARGE = _("The body is too large.")

REASONS: dict[str, str | Promise] = {
    "unknown_model": _("A model does not exist, or not for this source."),
    "model_not_allowed": _("The key may not use this model."),
    "over_limit": _("A size, number of steps or number of images is above a limit of the source or key."),
    "unsupported": _("The installation does not support this."),
    "bad_picture": _("An input image cannot be decoded."),
    "bad_url": _("The address of an input image or a callback is not valid."),
    "forbidden_address": _(
        "An address is not in the public internet, and not among the reachable hosts of the source."
    ),
    "fetch_failed": _("An input image cannot be fetched."),
    "queue_full": _("The source or key has too many queued jobs."),
    "rate_limited": _("Too many requests per second. Repeat the request after Retry-After."),
    "quota_exhausted": _("The quota of the day or month is used up."),
    "budget_exhausted": _("The total budget is used up."),
    "source_disabled": _("The source is disabled."),
    "text_model_failed": _("The text model did not respond."),
    "bad_idempotency_key": _("The Idempotency-Key is not valid."),
    "unknown_target": _("The storage target does not exist, or not for this source."),
    "missing_parts": _("This installation does not have the files of the capsule."),
    "bad_dataset": _("The images of a training cannot be used; the message lists what is wrong with which."),
    "model_exists": _("A model with this name or content exists already."),
    "idempotency_conflict": _("The Idempotency-Key was used for another request."),
}


def refusal_rows(error_of: Callable[[str], tuple[int, str]]) -> list[ErrorRow]:
    """A row per code and status of a dialect. ``error_of``: reason -> HTTP status and the code in the body.

    Reasons that a dialect does not tell apart share a row, whose text is that of the first.
    """
    rows: dict[tuple[int, str], ErrorRow] = {}
    for reason, text in REASONS.items():
        status, code = error_of(reason)
        rows.setdefault((status, code), ErrorRow(status, code, text))
    return list(rows.values())


def by_table(
    table: Mapping[str, tuple[int, str]], default: tuple[int, str]
) -> Callable[[str], tuple[int, str]]:
    return lambda reason: table.get(reason, default)
