"""What crosses the border between the platform and a runner. No torch, no Django.

A worker POSTs a RunOrder to ``/generate`` and reads events, one JSON object a line, until a Done or a Failed.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, field_validator, model_validator

from gpu_runner.protocol.workflows.template import Workflow

from .generation_request import (
    GenerationRequest,
    ModelName,
    StrictModel,
)

PROTOCOL_VERSION = 1


class ModelFile(StrictModel):
    """A file under MODELS_ROOT. ``path`` is relative, with forward slashes; ``sha256`` is checked before loading.

    A runner with files of its own finds them by their names; of what only such a runner has, no hash is known.
    """

    path: str
    sha256: str = Field(pattern=r"^([0-9a-f]{64})?$")
    # How a checkpoint was trained, where the registry knows better than the file.
    prediction_type: Literal["", "epsilon", "v_prediction"] = ""
    zero_terminal_snr: bool | None = None

    @field_validator("path")
    @classmethod
    def stays_below_the_root(cls, path: str) -> str:
        parts = path.split("/")
        if not path or path.startswith("/") or "\\" in path or "\0" in path or ".." in parts or "" in parts:
            raise ValueError("must be a relative path inside MODELS_ROOT")
        return path


class RunRequest(StrictModel):
    """One job for a runner: the request, the files that its names stand for, and the bytes of its input pictures."""

    protocol: int = PROTOCOL_VERSION
    job_id: str = Field(min_length=1, max_length=64)
    request: GenerationRequest
    checkpoint: ModelFile
    files: dict[str, ModelFile] = {}  # ModelName.key of all others that the request names -> file
    inputs: dict[str, str] = {}  # sha256 -> base64 of the picture file's bytes
    workflow: Workflow | None = None  # for runners that draw by such

    @model_validator(mode="after")
    def carries_all_that_the_request_names(self) -> RunRequest:
        if missing := self.request.pictures() - self.inputs.keys():
            raise ValueError(f"inputs lack {min(missing)}")
        # ComfyUI has its own files for preprocessors.
        wanted = [
            name for name in self.request.model_names() if not (self.workflow and name.kind == "preprocessor")
        ]
        if missing := {name.key for name in wanted} - self.files.keys():
            raise ValueError(f"files lack {min(missing)}")
        return self

    def file(self, kind: str, name: str) -> ModelFile:
        return self.files[ModelName(kind, name).key]


class CancelOrder(StrictModel):
    """Body of ``POST /jobs/{id}/cancel``; acts between two steps."""

    # discard: the job fails with code "cancelled".
    # interrupt: the pictures under way are decoded as they are, the rest is dropped, and the job is Done.
    # skip: like interrupt, but only for the batch under way; the next batch begins.
    mode: Literal["discard", "interrupt", "skip"] = "discard"


class Accepted(StrictModel):
    """The engine holds the job. It may still load a model before the first step."""

    type: Literal["accepted"] = "accepted"
    job_id: str


class Progress(StrictModel):
    """Steps done over all pictures of the job; ``steps`` is what will be done in all."""

    type: Literal["progress"] = "progress"
    step: int = Field(ge=0)
    steps: int = Field(ge=1)
    images_done: int = Field(default=0, ge=0)
    batch: int = Field(default=0, ge=0)  # index of the batch under way
    batch_step: int = Field(default=0, ge=0)  # steps done by its slowest picture
    preview: str | None = None  # base64 of a small JPEG

    @property
    def fraction(self) -> float:
        return min(1.0, self.step / self.steps)


class Image(StrictModel):
    """A finished picture, before any metadata is written into it."""

    type: Literal["image"] = "image"
    index: int = Field(ge=0)
    seed: int
    width: int
    height: int
    data: str  # base64 of a PNG file without text chunks
    nsfw: bool | None = None  # None: it was not looked at
    nsfw_score: float | None = None


class ControlMap(StrictModel):
    """What a ControlNet is shown; sent before the first step. ``index`` counts the job's maps."""

    type: Literal["control_map"] = "control_map"
    index: int = Field(ge=0)
    data: str  # base64 of a PNG file


class Done(StrictModel):
    """The last event of a job that succeeded, or that was interrupted with what it had."""

    type: Literal["done"] = "done"
    engine_seconds: float = Field(ge=0)  # wall time from the acceptance to here, in the engine
    device_seconds: float = Field(
        ge=0
    )  # this job's share of the device's time: each batch divided by its rows
    steps_run: int = Field(ge=0)


ErrorCode = Literal[
    "cancelled",  # asked for through /jobs/{id}/cancel
    "bad_request",  # the order itself cannot be done: unknown sampler, unreadable picture...
    "model_unavailable",  # the file is missing, or is not what the registry says
    "out_of_memory",
    "busy",  # no free slot: the order was not taken
    "nsfw",  # a picture was drawn that may not be shown
    "stopping",  # the runner was asked to end; another, or the next one, can draw the job
    "lost",  # what draws broke: the engine, or the server behind the runner, which went silent or has forgotten the job
    "internal",
]


class Failed(StrictModel):
    """The last event of a job that did not succeed. ``message`` is fit for the client's eyes."""

    type: Literal["failed"] = "failed"
    code: ErrorCode
    message: str
    work: Done | None = None  # what was done all the same; None: nothing, or nobody knows


Event = Annotated[Accepted | Progress | ControlMap | Image | Done | Failed, Field(discriminator="type")]
EVENT: TypeAdapter[Event] = TypeAdapter(Event)


class LoadedModel(StrictModel):
    path: str
    sha256: str
    size_bytes: int  # in the device's memory


class RunnerStatus(StrictModel):
    """Answer of ``GET /status``."""

    protocol: int = PROTOCOL_VERSION
    boot_id: str  # new for every process: tells a restarted runner from one that was only slow
    backend: Literal["pipeline", "comfyui"] = "pipeline"
    version: str
    device: str
    slots: int
    slots_busy: int
    jobs: tuple[str, ...] = ()  # ids of the jobs that the engine holds
    loaded: tuple[LoadedModel, ...] = ()
    memory_bytes: int = 0  # of the process (resident), or of the device where there is one
    steps_total: int = 0
    calls_total: int = 0  # of the denoising network; each is one step for its rows
    rows_total: int = 0  # pictures that those calls served
    loads_total: int = 0  # model files read into memory
    uptime_s: float = 0
    problem: str = ""  # why it takes no work, for ops
    inventory: str = ""  # changes whenever the answer of ``GET /inventory`` does; empty: it has none


class Inventory(StrictModel):
    """Answer of ``GET /inventory``: what a runner with files of its own has."""

    models: tuple[str, ...] = ()  # paths as below MODELS_ROOT: ``checkpoints/a.safetensors``
    nodes: tuple[str, ...] = ()  # the classes that its workflows can use


class WorkflowProblems(StrictModel):
    """Answer of ``POST /workflows/check``."""

    problems: tuple[str, ...] = ()
