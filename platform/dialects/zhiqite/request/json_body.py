"""Parse and validate requests with pydantic models."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator
from rest_framework.request import Request

from dialects.http import BadBody, parse_object
from dialects.zhiqite.errors import WireError
from gpu_runner.protocol import MAX_SEED

AnyModel = TypeVar("AnyModel", bound=BaseModel)

MAX_PROMPT = 20_000
MAX_ID = 200
MAX_NAME = 255

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
    """Base model of requests. Strings and numbers are converted to each other.

    Null and "" count as absent; unknown fields are ignored.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)

    @model_validator(mode="before")
    @classmethod
    def drop_empty_values(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: part for name, part in value.items() if part is not None and part != ""}

    def received(self) -> dict[str, Any]:
        """The fields that were sent, by wire name, as stored with the job."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


def read(model: type[AnyModel], request: Request) -> AnyModel:
    """Parse and validate the body. Raises WireError or pydantic's ValidationError."""
    try:
        value = parse_object(request._request.body)
    except BadBody as error:
        raise WireError(error.message) from None
    return model.model_validate(value)
