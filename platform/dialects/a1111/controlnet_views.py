"""``/controlnet/*``: what its clients ask the extension beside drawing."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from .base import WireView
from .controlnet import control_types
from .controlnet.detect import detect
from .controlnet.openpose import render
from .options import options
from .request.image_urls import followed
from .schema.coercion import boolean
from .schema.json_body import read_json, read_object
from .schema.query import query_value


class Version(WireView):
    def get(self, request: Request) -> Response:
        return Response({"version": 3})


class Models(WireView):
    """``update`` changes nothing: the list is always read afresh."""

    def get(self, request: Request) -> Response:
        query_value(request, "update", boolean, True)
        return Response({"model_list": control_types.model_titles(self.key)})


class Modules(WireView):
    def get(self, request: Request) -> Response:
        labels = query_value(request, "alias_names", boolean, False)
        return Response(control_types.module_list(labels=bool(labels)))


class Types(WireView):
    def get(self, request: Request) -> Response:
        return Response(control_types.control_types(self.key))


class Settings(WireView):
    def get(self, request: Request) -> Response:
        count: Any = options.current(self.key)["control_net_unit_count"]
        return Response({"control_net_unit_count": int(count)})


class Detect(WireView):
    def post(self, request: Request) -> Response:
        return Response(detect(followed(read_object(request._request), self.key.source)))


class RenderPoses(WireView):
    def post(self, request: Request) -> Response:
        return Response(render(read_json(request._request)))
