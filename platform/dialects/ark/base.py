"""Base views of the Ark dialect."""

from __future__ import annotations

from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response

from dialects.http import OUTAGE_RETRY_S, DialectView

from .authentication import BearerKey
from .errors import INTERNAL, ArkError, exception_response


class ArkView(DialectView):
    authentication_classes = [BearerKey]
    error_response = staticmethod(exception_response)
    schema = None

    def unavailable(self, message: str) -> ArkError:
        return ArkError(503, INTERNAL, message, headers={"Retry-After": str(OUTAGE_RETRY_S)})


class OtherEndpoint(ArkView):
    """Endpoints of the vendor for anything but images. The key is checked first."""

    http_method_names = ["get", "post", "delete"]

    def post(self, request: Request, **_parts: str) -> Response:
        message = _("%(path)s is not available: this server generates images only.")
        raise ArkError(404, "InvalidEndpointOrModel.NotFound", message % {"path": request.path})

    get = delete = post
