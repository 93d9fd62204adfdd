"""``/openapi.json`` and ``/docs``: OpenAPI document built from routes and field tables, viewable offline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.views import SpectacularSwaggerView
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from dialects.a1111.request import extras, interrogate
from dialects.a1111.schema.coercion import array, boolean, integer, mapping, number, string, strings
from dialects.a1111.schema.fields import IMG2IMG, TXT2IMG, Field
from dialects.http import IgnoreAcceptHeader

from . import png_info
from .listings import READABLE, REFRESHABLE

Schema = dict[str, Any]
TYPES: dict[Any, Schema] = {
    string: {"type": "string"},
    integer: {"type": "integer"},
    number: {"type": "number"},
    boolean: {"type": "boolean"},
    mapping: {"type": "object"},
    array: {"type": "array", "items": {}},
    strings: {"type": "array", "items": {"type": "string"}},
    extras.share: {"type": "number", "minimum": 0, "maximum": 1},
    extras.factor: {"type": "number", "exclusiveMinimum": 0},
    extras.mode: {"enum": [0, 1]},
}
ERROR: Schema = {
    "type": "object",
    "required": ["error", "detail", "body", "errors"],
    "properties": {name: {"type": "string"} for name in ("error", "detail", "body", "errors", "job_id")},
}
LOCATION = {"type": "array", "items": {"type": ["string", "integer"]}}
INVALID: Schema = {
    "type": "object",
    "required": ["loc", "msg", "type"],
    "properties": {
        "loc": LOCATION,
        "msg": {"type": "string"},
        "type": {"type": "string"},
        "ctx": {"type": "object"},
    },
}
VALIDATION: Schema = {
    "type": "object",
    "required": ["detail"],
    "properties": {"detail": {"type": "array", "items": {"$ref": "#/components/schemas/Invalid"}}},
}
GENERATED = {
    "images": {"type": "array", "items": {"type": "string"}},
    "parameters": {"type": "object"},
    "info": {"type": "string"},
}
EXTRA_BATCH = {
    "imageList": {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["data", "name"],
            "properties": {"data": {"type": "string"}, "name": {"type": "string"}},
        },
    }
}
PROGRESS = {
    "progress": {"type": "number"},
    "eta_relative": {"type": "number"},
    "state": {"type": "object"},
    "current_image": {"type": ["string", "null"]},
    "textinfo": {"type": ["string", "null"]},
}
TASK = {
    "active": {"type": "boolean"},
    "queued": {"type": "boolean"},
    "completed": {"type": "boolean"},
    "progress": {"type": ["number", "null"]},
    "eta": {"type": ["number", "null"]},
    "live_preview": {"type": ["string", "null"]},
    "id_live_preview": {"type": "integer"},
    "textinfo": {"type": "string"},
}
STATUSES = {
    "401": "Error",
    "403": "Error",
    "404": "Error",
    "409": "Error",
    "413": "Error",
    "422": "ValidationError",
    "429": "Error",
    "500": "Error",
    "503": "Error",
}
ANYTHING: Schema = {}


def _request_schema(fields: Mapping[str, Field]) -> Schema:
    """Schema of a request body. Values may also have the other types that the coercions accept."""
    return {"type": "object", "properties": {name: _field(field) for name, field in fields.items()}}


def _field(field: Field) -> Schema:
    schema = dict(TYPES.get(field.coerce, {"type": "integer", "minimum": 1}))
    if field.nullable and "type" in schema:
        schema["type"] = [schema["type"], "null"]
    return {**schema, "default": field.default}


def _object(properties: Mapping[str, Any]) -> Schema:
    return {"type": "object", "required": list(properties), "properties": dict(properties)}


def _operation(name: str, result: Schema, body: Schema | None = None, **more: Any) -> Schema:
    responses: Schema = {
        "200": {"description": "Success", "content": {"application/json": {"schema": result}}}
    }
    for status, shape in STATUSES.items():
        schema: Schema = {"$ref": f"#/components/schemas/{shape}"}
        if status == "422":
            schema = {"anyOf": [schema, {"$ref": "#/components/schemas/Error"}]}
        responses[status] = {"description": shape, "content": {"application/json": {"schema": schema}}}
    operation: Schema = {"operationId": name.strip("/").replace("/", "_"), "responses": responses, **more}
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


def _get(name: str, result: Schema, **more: Any) -> Schema:
    return {"get": _operation(f"get_{name}", result, **more)}


def _post(name: str, result: Schema, body: Schema | None = None) -> Schema:
    return {"post": _operation(f"post_{name}", result, body)}


def _query(name: str, default: bool) -> list[Schema]:
    return [{"name": name, "in": "query", "schema": {"type": "boolean", "default": default}}]


def _paths() -> dict[str, Schema]:
    generated = _object(GENERATED)
    paths = {
        "txt2img": _post("txt2img", generated, _request_schema(TXT2IMG)),
        "img2img": _post("img2img", generated, _request_schema(IMG2IMG)),
        extras.SINGLE: _post("extra_single_image", _object({"html_info": TEXT, "image": TEXT}), _single()),
        extras.BATCH: _post("extra_batch_images", _object({"html_info": TEXT, "images": TEXTS}), _batch()),
        "png-info": _post(
            "png_info",
            _object({"info": TEXT, "items": {"type": "object"}, "parameters": {"type": "object"}}),
            _request_schema(png_info.FIELDS) | {"required": ["image"]},
        ),
        "interrogate": _post("interrogate", _object({"caption": TEXT}), _request_schema(interrogate.FIELDS)),
        "progress": _get("progress", _object(PROGRESS), parameters=_query("skip_current_image", False)),
        "interrupt": _post("interrupt", {"type": "object"}),
        "skip": _post("skip", {"type": "null"}),
        "options": _get("options", {"type": "object"})
        | _post("options", {"type": "null"}, {"type": "object"}),
        "jobs/{job_id}": _get(
            "job",
            {"type": "object"},
            parameters=[{"name": "job_id", "in": "path", "required": True, "schema": {"type": "string"}}],
        ),
        "unload-checkpoint": _post("unload_checkpoint", {"type": "object"}),
        "reload-checkpoint": _post("reload_checkpoint", {"type": "object"}),
        **{name: _get(name.replace("-", "_"), ANYTHING) for name in READABLE},
        **{name: _post(name.replace("-", "_"), {"type": "null"}) for name in REFRESHABLE},
    }
    return {f"/sdapi/v1/{name}": path for name, path in paths.items()} | _root_paths()


def _root_paths() -> dict[str, Schema]:
    body = {
        "type": "object",
        "properties": {
            "id_task": {"type": ["string", "null"]},
            "id_live_preview": {"type": "integer"},
            "live_preview": {"type": "boolean"},
        },
    }
    detect = {
        "type": "object",
        "properties": {
            "controlnet_module": TEXT,
            "controlnet_input_images": TEXTS,
            "controlnet_processor_res": {"type": "integer"},
            "controlnet_threshold_a": {"type": "number"},
            "controlnet_threshold_b": {"type": "number"},
            "controlnet_masks": TEXTS,
        },
    }
    return {
        "/controlnet/version": _get("controlnet_version", _object({"version": {"type": "integer"}})),
        "/controlnet/model_list": _get(
            "controlnet_model_list", _object({"model_list": TEXTS}), parameters=_query("update", True)
        ),
        "/controlnet/module_list": _get(
            "controlnet_module_list", {"type": "object"}, parameters=_query("alias_names", False)
        ),
        "/controlnet/control_types": _get("controlnet_types", {"type": "object"}),
        "/controlnet/settings": _get("controlnet_settings", {"type": "object"}),
        "/controlnet/detect": _post("controlnet_detect", {"type": "object"}, detect),
        "/controlnet/render_openpose_json": _post(
            "controlnet_render_openpose_json",
            {"type": "object"},
            {"type": "array", "items": POSE},
        ),
        "/internal/ping": _get("ping", {"type": "object"}),
        "/internal/pending-tasks": _get(
            "pending_tasks", _object({"size": {"type": "integer"}, "tasks": TEXTS})
        ),
        "/internal/progress": _post("task_progress", _object(TASK), body),
    }


POSE: Schema = {
    "type": "object",
    "required": ["canvas_width", "canvas_height"],
    "properties": {
        "canvas_width": {"type": "integer"},
        "canvas_height": {"type": "integer"},
        "people": {"type": "array", "items": {"type": "object"}},
        "animals": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
    },
}
TEXT: Schema = {"type": "string"}
TEXTS: Schema = {"type": "array", "items": TEXT}


def _single() -> Schema:
    schema = _request_schema(extras.FIELDS)
    schema["properties"]["image"] = {"type": "string", "default": ""}
    return schema


def _batch() -> Schema:
    schema = _request_schema(extras.FIELDS)
    schema["properties"] |= EXTRA_BATCH
    return schema | {"required": ["imageList"]}


def document() -> Schema:
    return {
        "openapi": "3.1.0",
        "info": {"title": "Atelier: the A1111 dialect", "version": "1.10.1"},
        "paths": _paths(),
        "components": {
            "schemas": {"Error": ERROR, "Invalid": INVALID, "ValidationError": VALIDATION},
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
        },
        "security": [{"basic": []}],
    }


class Document(APIView):
    """OpenAPI document. It requires no authentication, because it contains no data of this server."""

    authentication_classes: list[Any] = []
    renderer_classes = [JSONRenderer]
    content_negotiation_class = IgnoreAcceptHeader

    def get(self, request: Request) -> Response:
        return Response(document())


class Page(SpectacularSwaggerView):
    url_name = "a1111-openapi"
    authentication_classes: list[Any] = []
    content_negotiation_class = IgnoreAcceptHeader
