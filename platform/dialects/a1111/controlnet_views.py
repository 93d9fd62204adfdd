"""``/controlnet/*``: routes of the ControlNet extension."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from .base import A1111View
from .controlnet import control_types
from .controlnet.openpose import render
from .options import options
from .request import controlnet_detect
from .request.submission import ParsedRequest
from .schema.coercion import boolean
from .schema.json_body import read_json
from .schema.query import query_value
from .views import Generation


class Version(A1111View):
    def get(self, request: Request) -> Response:
        return Response({"version": 3})


class Models(A1111View):
    """List the ControlNet models. ``update`` has no effect, because the list is never cached."""

    def get(self, request: Request) -> Response:
        query_value(request, "update", boolean, True)
        return Response({"model_list": control_types.model_titles(self.key)})


class Modules(A1111View):
    def get(self, request: Request) -> Response:
        labels = query_value(request, "alias_names", boolean, False)
        return Response(control_types.module_list(labels=bool(labels)))


class Types(A1111View):
    def get(self, request: Request) -> Response:
        return Response(control_types.control_types(self.key))


class Settings(A1111View):
    def get(self, request: Request) -> Response:
        count: Any = options.current(self.key)["control_net_unit_count"]
        return Response({"control_net_unit_count": int(count)})


class Detect(Generation):
    """Submit a preprocessor job and wait for its result."""

    operation = controlnet_detect.OPERATION
    wire_names = controlnet_detect.WIRE_NAMES

    def parse(self, body: dict[str, Any], base: str) -> ParsedRequest:
        return ParsedRequest(controlnet_detect.read_submission(self.operation, self.key, body, base))


class RenderPoses(A1111View):
    def post(self, request: Request) -> Response:
        return Response(render(read_json(request._request)))
