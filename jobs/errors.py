"""Why a job was not taken, or not moved. Dialects translate these into their own words."""

from __future__ import annotations

from django.utils.translation import gettext as _


class Refused(Exception):
    """A request that will not become a job. ``message`` is fit for the client's eyes; ``field`` is GenerationRequest's."""

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
    """Told before anything is read of the request."""

    code = "rate_limited"

    def __init__(self, retry_after: int) -> None:
        message = _("Too many requests: try again in %(seconds)d s.") % {"seconds": retry_after}
        super().__init__(message, retry_after=retry_after)


class QuotaSpent(Refused):
    """Of a day or a month: it renews itself."""

    code = "quota_exhausted"


class BudgetSpent(Refused):
    code = "budget_exhausted"


class ModelNotAllowed(Refused):
    """Its source may use the file; the key may not."""

    code = "model_not_allowed"


class Unsupported(Refused):
    code = "unsupported"


class InvalidImage(Refused):
    code = "bad_picture"


class BadURL(Refused):
    code = "bad_url"


class ForbiddenAddress(Refused):
    """A URL whose host is, or resolves to, an address that the platform does not call for strangers."""

    code = "forbidden_address"


class FetchFailed(Refused):
    code = "fetch_failed"


class BadIdempotencyKey(Refused):
    code = "bad_idempotency_key"


class IdempotencyConflict(Refused):
    """The key was used for another request. HTTP has 409 or 422 for it."""

    code = "idempotency_conflict"


class SourceDisabled(Refused):
    code = "source_disabled"


class ImpossibleTransition(Exception):
    """A change of state that the state machine does not have."""


class LeaseLost(ImpossibleTransition):
    """The job is not, or no longer, this worker's attempt: whatever it wanted to write must not be written."""
