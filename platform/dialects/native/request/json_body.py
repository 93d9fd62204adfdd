"""Parse and validate requests with pydantic models. Invalid requests raise Problem."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar, get_args, get_origin

from django.utils.translation import gettext as _
from pydantic import AfterValidator, BaseModel
from pydantic_core import PydanticCustomError
from rest_framework.request import Request

from dialects.http import InvalidJSON, NotAnObject, UnstorableText, parse_object
from dialects.native.errors import FieldError, Problem

AnyModel = TypeVar("AnyModel", bound=BaseModel)


def read_json(request: Request) -> dict[str, Any]:
    """Parse the JSON object of the body. Raises Problem."""
    data = request._request.body
    if not is_json(request):
        raise Problem(415, "unsupported_media_type", _("Send application/json."))
    try:
        return parse_object(data)
    except InvalidJSON as error:
        raise Problem(400, "malformed_json", error.message) from None
    except NotAnObject as error:
        raise Problem.unprocessable([FieldError(loc=[], msg=error.message, type="dict_type")]) from None
    except UnstorableText as error:
        field_error = FieldError(loc=list(error.location), msg=error.message, type="nul")
        raise Problem.unprocessable([field_error]) from None


def read_query(model: type[AnyModel], request: Request) -> AnyModel:
    """Parse the query parameters. List parameters of the model may be repeated."""
    given = request.query_params
    fields = model.model_fields
    many = {name for name in given if name in fields and get_origin(fields[name].annotation) is tuple}
    return model.model_validate(
        {name: given.getlist(name) if name in many else given[name] for name in given}
    )


def is_json(request: Request) -> bool:
    """Whether the body is JSON, by its content type."""
    content_type = request._request.content_type or ""
    return content_type == "application/json" or content_type.endswith("+json")


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("nul", "Text must not contain NUL characters.")
    return text


PlainText = Annotated[str, AfterValidator(_without_nul)]


def models_in(annotation: Any) -> set[type[BaseModel]]:
    """Return all pydantic models that occur in a type annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {model for part in get_args(annotation) for model in models_in(part)}
