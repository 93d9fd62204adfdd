"""The capsule of an output: a JSON document with everything that decides its pixels. Validated strictly.

A capsule comes from clients, so that nothing in it is trusted: its parts must agree with each other, and every file
and image in it is looked up by its SHA-256 among those that the client's source may use.
"""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, model_validator

from gpu_runner.protocol import Environment, GenerationRequest, ModelName, StrictModel

from .sampling import PassFacts

FORMAT = "atelier-capsule"
MAX_CAPSULE_BYTES = 2**20
MAX_FILES = 512
MAX_SIDE = 65_536

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, Field(max_length=500)]


class CapsuleFile(StrictModel):
    """A model file. ``name`` is the one in the request; here a file with this hash may have another one."""

    kind: Annotated[str, Field(min_length=1, max_length=16)]
    name: Annotated[str, Field(min_length=1, max_length=255)]
    sha256: str = Field(
        pattern=r"^([0-9a-f]{64})?$",
        description="Empty for files that only a ComfyUI server has: these are looked up by name.",
    )
    prediction_type: Literal["", "epsilon", "v_prediction"] = ""
    zero_terminal_snr: bool | None = None
    variant: Annotated[str, Field(max_length=16)] = ""

    @property
    def model_name(self) -> ModelName:
        return ModelName(self.kind, self.name)


class CapsuleInput(StrictModel):
    """An input image, and its first place in the request."""

    field: Text
    sha256: Digest


class CapsuleWorkflow(StrictModel):
    """The workflow template of a ComfyUI job. ``sha256`` is over its graph and slots."""

    name: Annotated[str, Field(max_length=100)]
    sha256: Digest


class CapsuleImage(StrictModel):
    """The output itself. Its metadata may differ between two files with the same pixels."""

    index: int = Field(ge=0, le=10_000, description="Of the output in its job.")
    sha256: Digest
    pixels_sha256: Digest | None = Field(
        description="SHA-256 of mode and size, such as 'RGB 512x512' and a newline, and of the pixels by row."
        " Null: the file was deleted."
    )
    width: int = Field(ge=1, le=MAX_SIDE)
    height: int = Field(ge=1, le=MAX_SIDE)
    content_type: Annotated[str, Field(max_length=32)]
    size_bytes: int = Field(ge=0, le=2**40)


class Capsule(StrictModel):
    """Everything that is needed to draw an output again."""

    format: Literal["atelier-capsule"] = "atelier-capsule"
    version: Literal[1] = 1
    job: uuid.UUID
    created_at: AwareDatetime
    backend: Literal["pipeline", "comfyui"]
    workflow: CapsuleWorkflow | None = None
    request: GenerationRequest = Field(description="As it was understood, with all defaults filled in.")
    files: Annotated[tuple[CapsuleFile, ...], Field(max_length=MAX_FILES)]
    inputs: Annotated[tuple[CapsuleInput, ...], Field(max_length=MAX_FILES)] = ()
    seed: int = Field(ge=0, lt=2**64, description="Of this output.")
    subseed: int | None = Field(
        default=None, ge=0, lt=2**64, description="Its variation seed, if it has one."
    )
    sampling: Annotated[tuple[PassFacts, ...], Field(max_length=64)] = ()
    interrupted: bool = Field(default=False, description="It was stopped before its last step.")
    environment: Environment | None = Field(description="Null: its runner did not tell.")
    image: CapsuleImage

    @model_validator(mode="after")
    def has_exactly_the_files_of_its_request(self) -> Capsule:
        named = [file.model_name for file in self.files]
        if twice := [name.key for name, count in Counter(named).items() if count > 1]:
            raise ValueError(f"files must not name a model twice ({twice[0]})")
        wanted = needed_files(self.request, self.backend)
        if missing := wanted - set(named):
            raise ValueError(f"files must contain every model of the request (missing {min(missing).key})")
        if unneeded := set(named) - wanted:
            raise ValueError(f"files must contain only models of the request ({min(unneeded).key} is none)")
        return self

    @model_validator(mode="after")
    def has_exactly_the_inputs_of_its_request(self) -> Capsule:
        if {(part.sha256, part.field) for part in self.inputs} != set(self.request.picture_paths().items()):
            raise ValueError("inputs must be the input images of the request, each with its first place")
        return self

    @model_validator(mode="after")
    def has_the_seeds_of_its_request(self) -> Capsule:
        if (self.seed, self.subseed) != seeds_of(self.request, self.image.index):
            raise ValueError("seed and subseed must be those of this output in the request")
        return self

    @model_validator(mode="after")
    def has_a_workflow_only_for_comfyui(self) -> Capsule:
        if (self.workflow is not None) != (self.backend == "comfyui"):
            raise ValueError("workflow is needed with backend=comfyui, and only with it")
        if self.backend == "pipeline" and any(not file.sha256 for file in self.files):
            raise ValueError("files must have their sha256 with backend=pipeline")
        return self

    @model_validator(mode="after")
    def is_of_an_output_of_its_request(self) -> Capsule:
        most = self.request.num_outputs
        if self.request.task != "analyze" and self.image.index >= most:
            raise ValueError(f"image.index must be less than the {most} outputs of the request")
        return self


def read_capsule(data: bytes) -> Capsule:
    """Parse a capsule file. Raises ValueError for what is none, and for text that cannot be stored."""
    if len(data) > MAX_CAPSULE_BYTES:
        raise ValueError("a capsule has at most 1 MiB")
    capsule = Capsule.model_validate_json(data)
    if _has_nul(capsule.model_dump(mode="json")):
        raise ValueError("text must not contain NUL characters")
    return capsule


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_nul(part) for pair in value.items() for part in pair)
    return any(map(_has_nul, value)) if isinstance(value, list) else isinstance(value, str) and "\0" in value


def needed_files(request: GenerationRequest, backend: str) -> set[ModelName]:
    """Names of all models of a request. ComfyUI has its own preprocessor files, and its template may name the checkpoint."""
    names = {*request.model_names()}
    if request.checkpoint or backend == "pipeline":
        names.add(ModelName("checkpoint", request.checkpoint))
    return {name for name in names if backend == "pipeline" or name.kind != "preprocessor"}


def seeds_of(request: GenerationRequest, index: int) -> tuple[int, int | None]:
    """Seed and variation seed of an output, modulo 2**64."""
    subseed = request.subseed_of(index) % 2**64 if request.subseed_strength else None
    return request.seed_of(index) % 2**64, subseed
