"""How this API tells about itself: drf-spectacular over the pydantic models that really are read and written."""

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
    401: "Who are you?",
    403: "The key may not be used here.",
    429: "Later: see Retry-After.",
    500: "An error of ours.",
}
KNOWN = {
    400: "The body cannot be read.",
    402: "The budget is spent.",
    404: "There is nothing here, or it is not yours.",
    409: "It contradicts what there is.",
    410: "No longer kept.",
    413: "Too large.",
    415: "Not in this form.",
    422: "It does not fit the API, or the source's limits, or what there is to draw with.",
}


class PydanticModels(PydanticExtension):
    """As a client may send it: fields with a default need not be there. One form for requests and answers."""

    priority = 1

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        schema = self.target.model_json_schema(ref_template=REF)
        for name, part in schema.pop("$defs", {}).items():
            found = ResolvedComponent(name=name, type=ResolvedComponent.SCHEMA, object=name, schema=part)
            auto_schema.registry.register_on_missing(found)
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
        """Either, not both."""
        return [{name: []} for name in self.name]


class Console(OpenApiAuthenticationExtension):
    """For the console's own pages; no client's business."""

    target_class = "dialects.native.console_session.ConsoleSession"
    name: list[str] = []

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        return []

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[Any]]]:
        return []


def only_ours(endpoints: list[Any], **_more: Any) -> list[Any]:
    """The other dialects, one of which has addresses below /api/v1/ too, are documented by those who made them."""
    return [endpoint for endpoint in endpoints if endpoint[3].cls.__module__.startswith(f"{PACKAGE}.")]


def parameters(model: type[BaseModel]) -> list[OpenApiParameter]:
    """A query's model as parameters."""
    schema = model.model_json_schema()
    defs = schema.get("$defs", {})
    return [_parameter(name, _inlined(part, defs)) for name, part in schema["properties"].items()]


def _parameter(name: str, schema: dict[str, Any]) -> OpenApiParameter:
    described = schema.pop("description", "")
    return OpenApiParameter(name, schema, OpenApiParameter.QUERY, description=described)


def _inlined(schema: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """An absent parameter has no value, so that null is none of its values."""
    schema = copy.deepcopy(schema)
    kinds = [kind for kind in schema.pop("anyOf", []) if kind != {"type": "null"}]
    if kinds:
        schema = {**kinds[0], **{name: part for name, part in schema.items() if name != "default"}}
    if "$ref" in schema:
        schema |= defs[schema.pop("$ref").rpartition("/")[2]]
    return {name: part for name, part in schema.items() if name != "title"}


def operation(
    name: str, answers: dict[Any, Any], *, problems: tuple[int, ...] = (), **more: Any
) -> Callable[[Any], Any]:
    """``extend_schema`` with the problems that an operation may answer with."""
    told = {status: ALWAYS[status] for status in ALWAYS} | {status: KNOWN[status] for status in problems}
    documents = {
        (status, MEDIA_TYPE): OpenApiResponse(ProblemDocument, description=words)
        for status, words in sorted(told.items())
    }
    return extend_schema(operation_id=name, responses={**answers, **documents}, **more)
