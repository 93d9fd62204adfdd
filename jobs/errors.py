"""Exceptions of admission and of the state machine. Dialects map them to their own error responses."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext as _


class Refused(Exception):
    """A request is refused at admission.

    ``message`` may be shown to the client. ``field`` is the name of a field of GenerationRequest, or None. With
    ``words``, the message is a template that they are put into; it may have the field's name as ``%(field)s``.
    """

    code = "refused"

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        words: Mapping[str, object] | None = None,
        retry_after: int | None = None,
        code: str | None = None,
    ) -> None:
        self._template, self._words = message, words
        self.field = field
        self.message = self.message_naming(field or "")
        self.retry_after = retry_after  # seconds after which the same request may be taken
        self.code = code or self.code
        super().__init__(self.message)

    def message_naming(self, name: str) -> str:
        """The message with another name of its field: the one in the format of a dialect."""
        return self._template if self._words is None else self._template % {**self._words, "field": name}

    @property
    def names_field(self) -> bool:
        """Whether the message contains the field's name."""
        return self._words is not None and "%(field)s" in self._template


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


class TextModelMissing(Unsupported):
    """The request needs the operator's text model, and there is none."""


class TextModelFailed(Refused):
    """The operator's text model did not answer, or its answer cannot be used. HTTP status 503, where there is one."""

    code = "text_model_failed"


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
