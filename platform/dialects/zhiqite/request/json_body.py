"""What a client sent, as one of our pydantic models."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator
from rest_framework.request import Request

from dialects.http import BadBody, parse_object
from dialects.zhiqite.errors import WireError

AnyModel = TypeVar("AnyModel", bound=BaseModel)

MAX_PROMPT = 20_000
MAX_ID = 200
MAX_NAME = 255
MAX_SEED = 2**32 - 1

Prompt = Annotated[str, Field(max_length=MAX_PROMPT)]
Id = Annotated[str, Field(max_length=MAX_ID)]
Name = Annotated[str, Field(max_length=MAX_NAME)]
Link = Annotated[str, Field(max_length=2000)]
Seed = Annotated[int, Field(ge=-1, le=MAX_SEED)]
Count = Annotated[int, Field(ge=1, le=256)]
Steps = Annotated[int, Field(ge=1, le=500)]
Side = Annotated[int, Field(ge=128, le=1024, multiple_of=8)]
HiresSide = Annotated[int, Field(ge=128, le=2048, multiple_of=8)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Guidance = Annotated[float, Field(ge=1, le=30, allow_inf_nan=False)]


class Wire(BaseModel):
    """Numbers may be written as texts, texts as numbers; null and "" say nothing; what nobody knows is left out."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)

    @model_validator(mode="before")
    @classmethod
    def without_what_says_nothing(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: said for name, said in value.items() if said is not None and said != ""}

    def received(self) -> dict[str, Any]:
        """What the job keeps of it."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


def read(model: type[AnyModel], request: Request) -> AnyModel:
    """Raises WireError, or pydantic's ValidationError."""
    try:
        value = parse_object(request._request.body)
    except BadBody as error:
        raise WireError(error.message) from None
    return model.model_validate(value)
