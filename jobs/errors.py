"""Exceptions of admission and of the state machine. Dialects map them to their own error responses."""

from __future__ import annotations

from django.utils.translation import gettext as _


class Refused(Exception):
    """A request is refused at admission.

    ``message`` may be shown to the client. ``field`` is the name of a field of GenerationRequest, or None.
    """

    code = "refused"

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        retry_after: int | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after = retry_after  # seconds after which the same request may be taken
        self.code = code or self.code


class UnknownModel(Refused):
    code = "unknown_model"


class OverLimit(Refused):
    code = "over_limit"


class QueueFull(Refused):
    code = "queue_full"


class RateLimited(Refused):
    """Raised before the request body is parsed."""

    code = "rate_limited"

    def __init__(self, retry_after: int) -> None:
        message = _("Too many requests: try again in %(seconds)d s.") % {"seconds": retry_after}
        super().__init__(message, retry_after=retry_after)


class QuotaSpent(Refused):
    """A daily or monthly quota is exhausted; it is renewed automatically."""

    code = "quota_exhausted"


class BudgetSpent(Refused):
    """The total budget is exhausted."""

    code = "budget_exhausted"


class ModelNotAllowed(Refused):
    """The key may not use a model file that its source may use."""

    code = "model_not_allowed"


class Unsupported(Refused):
    code = "unsupported"


class InvalidImage(Refused):
    code = "bad_picture"


class BadURL(Refused):
    code = "bad_url"


class ForbiddenAddress(Refused):
    """The host of a URL is, or resolves to, an address blocked for outgoing requests (SSRF protection)."""

    code = "forbidden_address"


class FetchFailed(Refused):
    code = "fetch_failed"


class BadIdempotencyKey(Refused):
    code = "bad_idempotency_key"


class IdempotencyConflict(Refused):
    """The key was used with a different request. HTTP status 409 or 422."""

    code = "idempotency_conflict"


class SourceDisabled(Refused):
    code = "source_disabled"


class ImpossibleTransition(Exception):
    """Invalid state transition."""


class LeaseLost(ImpossibleTransition):
    """The worker does not hold the lease of the job's current attempt; it must not write to the job."""
