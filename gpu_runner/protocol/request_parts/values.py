"""Values that the parts of a generation request share: ranges, references to images and models."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

MIN_SEED, MAX_SEED = -(2**63), 2**64 - 1  # torch's; a negative seed is the same as seed + 2**64
MAX_LORAS = 32  # per pass
MAX_LORA_RANK = 4096
Factor = Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=48, le=4096, multiple_of=8)]
Seed = Annotated[int, Field(ge=MIN_SEED, le=MAX_SEED)]
Name = Annotated[str, Field(max_length=255)]
Prompt = Annotated[str, Field(max_length=32_000)]
Steps = Annotated[int, Field(ge=1, le=500)]


class StrictModel(BaseModel):
    """Frozen model that rejects unknown fields, so that a field of another version is never ignored silently."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class InputImage(StrictModel):
    """Reference to an input image by the SHA-256 of its file. The bytes are sent beside the request (RunRequest.inputs)."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class ModelName(NamedTuple):
    """Kind and name of a model in the registry."""

    kind: str
    name: str

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.name}"
