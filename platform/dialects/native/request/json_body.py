"""What a client sent, as one of our pydantic models; a problem for whatever does not fit."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar, get_args, get_origin

from django.utils.translation import gettext as _
from pydantic import AfterValidator, BaseModel
from pydantic_core import PydanticCustomError
from rest_framework.request import Request

from dialects.http import InvalidJSON, NotAnObject, UnstorableText, parse_object
from dialects.native.errors import Complaint, Problem

AnyModel = TypeVar("AnyModel", bound=BaseModel)


def read_json(request: Request) -> dict[str, Any]:
    """The body's JSON object."""
    data = request._request.body
    if not _is_json(request._request.content_type or ""):
        raise Problem(415, "unsupported_media_type", _("Send application/json."))
    try:
        return parse_object(data)
    except InvalidJSON as error:
        raise Problem(400, "malformed_json", error.message) from None
    except NotAnObject as error:
        raise Problem.unprocessable([Complaint(loc=[], msg=error.message, type="dict_type")]) from None
    except UnstorableText as error:
        complaint = Complaint(loc=list(error.location), msg=error.message, type="nul")
        raise Problem.unprocessable([complaint]) from None


def read_query(model: type[AnyModel], request: Request) -> AnyModel:
    """The query's parameters. Those that are lists in the model may be given more than once."""
    given = request.query_params
    fields = model.model_fields
    many = {name for name in given if name in fields and get_origin(fields[name].annotation) is tuple}
    return model.model_validate(
        {name: given.getlist(name) if name in many else given[name] for name in given}
    )


def _is_json(content_type: str) -> bool:
    return content_type == "application/json" or content_type.endswith("+json")


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("nul", "Text may not contain NUL.")
    return text


PlainText = Annotated[str, AfterValidator(_without_nul)]


def models_in(annotation: Any) -> set[type[BaseModel]]:
    """The pydantic models that an annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {model for part in get_args(annotation) for model in models_in(part)}
