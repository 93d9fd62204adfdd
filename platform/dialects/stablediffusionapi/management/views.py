"""Views of the management endpoints: of a source's account, of its queue, and of the runners' memory."""

from __future__ import annotations

from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response

from dialects.stablediffusionapi.base import StableDiffusionApiView
from dialects.stablediffusionapi.errors import WireError, message_fields
from dialects.stablediffusionapi.refusals import refused_endpoint
from dialects.stablediffusionapi.request.uploads import stored_base64, upload_of_type

from . import account, assets, operation

COMPLETED = "Operation completed successfully"


def completed(message: str = COMPLETED, **more: Any) -> Response:
    return Response({"status": "success", **message_fields(message), **more})


class Managing(StableDiffusionApiView):
    """Base of the endpoints that need a key with the right to manage models."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not self.key.manages_models:
            raise WireError(
                403, _("This key may not manage models. An operator can permit it on the key's page.")
            )


class RefusedEndpoint(StableDiffusionApiView):
    """An endpoint of the vendor that is refused with a reason. The key is checked first."""

    http_method_names = ["get", "post", "put", "delete"]
    reason: str | Promise = ""

    def post(self, request: Request, **_parts: str) -> Response:
        raise refused_endpoint(self.path, self.reason)

    get = put = delete = post


class SystemDetails(StableDiffusionApiView):
    def post(self, request: Request) -> Response:
        return completed(data=operation.system_details(self.key))


class ClearQueue(StableDiffusionApiView):
    """Cancels the waiting jobs of the key, and no others."""

    def post(self, request: Request) -> Response:
        return completed(cancelled=operation.clear_queue(self.key))


class ClearCache(Managing):
    """Frees the memory of the runners. Models that running jobs use stay."""

    http_method_names = ["get", "post"]

    def post(self, request: Request) -> Response:
        outcome = operation.clear_cache()
        if not outcome.cleared:
            raise WireError(503, outcome.text)
        return completed("Cache cleared", tip=outcome.text)

    get = post


class UploadImage(StableDiffusionApiView):
    def post(self, request: Request) -> Response:
        return Response(upload_of_type(self.given, self.base_url))


class Base64ToUrl(StableDiffusionApiView):
    def post(self, request: Request) -> Response:
        return Response(stored_base64(self.given, self.base_url))


class AssetsGenerated(StableDiffusionApiView):
    def post(self, request: Request) -> Response:
        rows, pagination = assets.page_of(self.source, self.given, self.base_url)
        return completed("assets generated", data=rows, pagination=pagination)


class RequestCount(StableDiffusionApiView):
    def post(self, request: Request) -> Response:
        count = account.processing_count(self.source)
        message = _("Requests that wait or run: %(count)d") % {"count": count}
        return completed(message, processing_count=count)


class SubscribedProducts(StableDiffusionApiView):
    def post(self, request: Request) -> Response:
        return completed("subscribed products", data=account.products(self.key))


class WalletBalance(StableDiffusionApiView):
    def post(self, request: Request) -> Response:
        return completed("wallet balance", data=account.balance(self.key))
