"""Error responses: of the gateway (ResponseMetadata), and of the service (envelope with a code).

Codes and messages are the vendor's; details after the colon are added here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from pydantic import ValidationError

from jobs.errors import Refused
from models_registry.errors import ModelNotAllowed
from telemetry import counters

# Code of the service -> HTTP status and message.
SERVICE = {
    50200: (400, "Invalid Arguments"),
    50201: (400, "Missing Arguments"),
    50204: (400, "Parameter Parse Error"),
    50205: (400, "Image Size Over Limit"),
    50206: (400, "Image Empty"),
    50207: (400, "Image Decode Error"),
    50213: (400, "Request Body Too Large"),
    50215: (400, "Input invalid for this service."),
    50400: (401, "Access Denied"),
    50429: (429, "Request Has Reached API Limit, Please Try Later"),
    50430: (429, "Request Has Reached API Concurrent Limit, Please Try Later"),
    50500: (500, "Internal Error"),
    50501: (500, "Internal RPC Error"),
    50511: (400, "Post Img Risk Not Pass"),
}
# Code of the gateway -> HTTP status, CodeN (None: the vendor does not document it) and message.
GATEWAY: dict[str, tuple[int, int | None, str]] = {
    "MissingParameter": (400, 100002, "The request is missing %s parameter."),
    "MissingAuthenticationToken": (401, 100003, "Request is missing Authentication Token."),
    "MissingRequestInfo": (400, 100004, "The request is missing %s information."),
    "MissingSignature": (401, 100005, "The request is missing the signature part of its Authorization."),
    "InvalidTimestamp": (400, 100006, "The Signature of the request is expired"),
    "ServiceNotFound": (404, 100007, "This service[%s] not found."),
    "InvalidActionOrVersion": (404, 100008, "Could not find operation %s for version %s."),
    "InvalidAccessKey": (401, 100009, "The accesskey [%s] included in the request is invalid."),
    "SignatureDoesNotMatch": (
        401,
        100010,
        "The request signature we calculated does not match the signature you provided. "
        "Check your Secret Access Key and signing method.",
    ),
    "AccessDenied": (403, 100013, "User is not authorized to perform: %s on resource: %s."),
    "InvalidAuthorization": (
        400,
        100024,
        "Invalid Authorization header, Pls check your authorization header.",
    ),
    "InvalidCredential": (400, 100025, "The Credential of the request is invalid."),
    "InvalidSecretToken": (401, None, "The security token included in the request is invalid."),
    "ServiceUnavailableTemp": (503, None, "The service is temporarily unavailable."),
    "InternalServiceTimeout": (504, None, "The service did not respond in time."),
}
# Code of Refused -> code of the service.
REFUSED = {"bad_picture": 50207, "bad_url": 50207, "forbidden_address": 50207, "fetch_failed": 50207}
REFUSED |= {"queue_full": 50430, "unknown_model": 50500, "over_limit": 50200, "unsupported": 50200}
REFUSED |= {
    "text_model_failed": 50501,
    "rate_limited": 50429,
    "quota_exhausted": 50429,
    "budget_exhausted": 50400,
    "source_disabled": 50400,
    "model_not_allowed": 50400,
}
FIELDS = {  # field of the GenerationRequest -> field of this API, where they differ
    "num_inference_steps": "ddim_steps",
    "guidance_scale": "scale",
    "negative_prompt": "u_prompt",
}
UNSAFE_CHARACTERS = str.maketrans("'\"\\\n\r", "``/  ")
MAX_QUOTED = 200  # characters of a value of the request that a message repeats


class ServiceError(Exception):
    """An error of the service: an envelope with a code and without data."""

    def __init__(self, code: int, detail: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        self.code = code
        self.detail = detail
        self.status, name = SERVICE[code]
        # Clients extract this from the text of the SDK's exception and parse it; quotes and backslashes break that.
        self.message = plain(f"{name}: {detail}" if detail else name)
        self.headers = dict(headers or {})
        super().__init__(self.message)

    def at(self, location: str) -> ServiceError:
        """The same error with the part of the body that caused it."""
        return ServiceError(
            self.code, f"{location}: {self.detail}" if self.detail else location, headers=self.headers
        )

    @classmethod
    def of(cls, refused: Refused, location: str = "") -> ServiceError:
        """From a refusal. ``location``: the part of the body that caused it, if known."""
        counters.refusals.labels(dialect="volcengine", reason=refused.code).inc()
        if isinstance(refused.__cause__, ModelNotAllowed):
            # The model is named by the style, not by the client; its name would reveal what other tenants have.
            return cls(50400, _("a model of this style is not available for this key"))
        headers = {"Retry-After": str(refused.retry_after)} if refused.retry_after else {}
        field = refused.field or ""
        message = refused.message_naming(FIELDS.get(field, field))
        detail = f"{location}: {message}" if location else message
        return cls(REFUSED.get(refused.code, 50200), detail, headers=headers)

    @classmethod
    def invalid(cls, error: ValidationError) -> ServiceError:
        """From a limit of the GenerationRequest that the vendor's documentation does not have."""
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        name = ".".join(map(str, first["loc"]))
        return cls(50200, f"{FIELDS.get(name, name)}: {first['msg']}")


class GatewayError(Exception):
    """An error of the gateway: authentication, routing and timeouts."""

    def __init__(self, code: str, *values: str, headers: Mapping[str, str] | None = None) -> None:
        self.code = code
        self.status, self.number, message = GATEWAY[code]
        if code == "InvalidTimestamp":
            self.status = settings.VOLCENGINE_EXPIRED_STATUS
        self.message = plain(message % tuple(value[:MAX_QUOTED] for value in values))
        self.headers = dict(headers or {})
        super().__init__(self.message)

    def as_json(self) -> dict[str, Any]:
        number = {} if self.number is None else {"CodeN": self.number}
        return {**number, "Code": self.code, "Message": self.message}


def too_large() -> ServiceError:
    return ServiceError(50213)


def unreadable() -> ServiceError:
    return ServiceError(50204, _("the body is not JSON"))


def plain(text: str) -> str:
    """The text without quotes, backslashes and line breaks."""
    return text.translate(UNSAFE_CHARACTERS)
