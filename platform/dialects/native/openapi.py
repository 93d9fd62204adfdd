"""OpenAPI document of this API: drf-spectacular with the pydantic models that parse requests and build responses."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from drf_spectacular.contrib.pydantic import PydanticExtension
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from pydantic import BaseModel

from .errors import MEDIA_TYPE, ProblemDocument

REF = "#/components/schemas/{model}"
PACKAGE = __name__.rpartition(".")[0]
ALWAYS = {
    401: "Missing or wrong credentials.",
    403: "The key may not be used for this.",
    429: "Too many requests; see Retry-After.",
    500: "Internal error.",
}
KNOWN = {
    400: "The body cannot be read.",
    402: "The budget is spent.",
    404: "Not found.",
    409: "Conflict with an existing job.",
    410: "Deleted.",
    413: "The body is too large.",
    415: "Unsupported media type.",
    422: "Validation failed, a limit of the source is exceeded, or a model is not available.",
}


class PydanticModels(PydanticExtension):
    """Schemas of pydantic models. Requests and responses share one, in which fields with a default are optional."""

    priority = 1

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        schema = self.target.model_json_schema(ref_template=REF)
        for name, part in schema.pop("$defs", {}).items():
            component = ResolvedComponent(name=name, type=ResolvedComponent.SCHEMA, object=name, schema=part)
            auto_schema.registry.register_on_missing(component)
        return schema


class Keys(OpenApiAuthenticationExtension):
    target_class = "dialects.native.authentication.KeyAndSecret"
    name = ["bearer", "basic"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        return [
            {"type": "http", "scheme": "bearer", "bearerFormat": "<key id>:<secret>"},
            {"type": "http", "scheme": "basic", "description": "The key id as user, its secret as password."},
        ]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[Any]]]:
        """One of the two schemes."""
        return [{name: []} for name in self.name]


class Console(OpenApiAuthenticationExtension):
    """Authentication of the console's pages, which is not documented for clients."""

    target_class = "dialects.native.console_session.ConsoleSession"
    name: list[str] = []

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        return []

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[Any]]]:
        return []


def only_native(endpoints: list[Any], **_more: Any) -> list[Any]:
    """Endpoints of this API. Other dialects, one of which has paths below /api/v1/ too, are left out."""
    return [endpoint for endpoint in endpoints if endpoint[3].cls.__module__.startswith(f"{PACKAGE}.")]


def parameters(model: type[BaseModel]) -> list[OpenApiParameter]:
    """OpenAPI parameters of a model of query parameters."""
    schema = model.model_json_schema()
    defs = schema.get("$defs", {})
    return [_parameter(name, _inlined(part, defs)) for name, part in schema["properties"].items()]


def _parameter(name: str, schema: dict[str, Any]) -> OpenApiParameter:
    described = schema.pop("description", "")
    return OpenApiParameter(name, schema, OpenApiParameter.QUERY, description=described)


def _inlined(schema: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """The schema without references, and without null: an absent parameter has no value."""
    schema = copy.deepcopy(schema)
    kinds = [kind for kind in schema.pop("anyOf", []) if kind != {"type": "null"}]
    if kinds:
        schema = {**kinds[0], **{name: part for name, part in schema.items() if name != "default"}}
    if "$ref" in schema:
        schema |= defs[schema.pop("$ref").rpartition("/")[2]]
    return {name: part for name, part in schema.items() if name != "title"}


def operation(
    name: str, responses: dict[Any, Any], *, problems: tuple[int, ...] = (), **more: Any
) -> Callable[[Any], Any]:
    """``extend_schema`` with the problem responses of an operation: those of every one, and ``problems``."""
    descriptions = ALWAYS | {status: KNOWN[status] for status in problems}
    documents = {
        (status, MEDIA_TYPE): OpenApiResponse(ProblemDocument, description=description)
        for status, description in sorted(descriptions.items())
    }
    return extend_schema(operation_id=name, responses={**responses, **documents}, **more)
