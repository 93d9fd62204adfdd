"""Wire messages between a worker and a runner. No torch, no Django.

A worker POSTs a RunRequest to ``/generate`` and reads events as NDJSON, one object per line, until Done or Failed.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, field_validator, model_validator

from gpu_runner.protocol.workflows.template import Workflow

from .environment import Environment
from .findings import ImageFindings
from .generation_request import GenerationRequest
from .request_parts.values import ModelName, StrictModel

PROTOCOL_VERSION = 1


class ModelFile(StrictModel):
    """A model file. ``path`` is relative to MODELS_ROOT, with forward slashes; ``sha256`` is checked before loading.

    ``sha256`` is empty for files that only a ComfyUI runner has. Such runners look files up by name.
    """

    path: str
    sha256: str = Field(pattern=r"^([0-9a-f]{64})?$")
    # Overrides of the registry for checkpoints whose files do not state how they were trained.
    prediction_type: Literal["", "epsilon", "v_prediction"] = ""
    zero_terminal_snr: bool | None = None

    @field_validator("path")
    @classmethod
    def is_inside_the_root(cls, path: str) -> str:
        parts = path.split("/")
        if not path or path.startswith("/") or "\\" in path or "\0" in path or ".." in parts or "" in parts:
            raise ValueError(f"path must be a relative path inside MODELS_ROOT (got {path[:200]!r})")
        return path


class RunRequest(StrictModel):
    """One job for a runner: the request, its model files, and its input images."""

    protocol: int = PROTOCOL_VERSION
    job_id: str = Field(min_length=1, max_length=64)
    request: GenerationRequest
    # None: a ComfyUI template without a checkpoint of its own; the nodes name their files.
    checkpoint: ModelFile | None = None
    # ModelName.key of every other model of the request -> file; also of the text encoders of a checkpoint without any.
    files: dict[str, ModelFile] = {}
    inputs: dict[str, str] = {}  # SHA-256 -> base64 of the image file
    workflow: Workflow | None = None  # ComfyUI runners only

    @model_validator(mode="after")
    def has_all_inputs_and_files(self) -> RunRequest:
        if self.checkpoint is None and self.workflow is None:
            raise ValueError("checkpoint is required, except with a workflow")
        if missing := self.request.input_hashes() - self.inputs.keys():
            raise ValueError(f"inputs must contain every input image of the request (missing {min(missing)})")
        # ComfyUI nodes bring their own preprocessor weights.
        wanted = [
            name for name in self.request.model_names() if not (self.workflow and name.kind == "preprocessor")
        ]
        if missing := {name.key for name in wanted} - self.files.keys():
            raise ValueError(f"files must contain every model of the request (missing {min(missing)})")
        return self

    @property
    def checkpoint_file(self) -> ModelFile:
        """The checkpoint of a job that has one. Raises ValueError for others."""
        if self.checkpoint is None:
            raise ValueError("the job has no checkpoint")
        return self.checkpoint

    @property
    def text_encoders(self) -> tuple[ModelFile, ...]:
        """Text encoders in files of their own, in the order of their names."""
        return tuple(file for key, file in sorted(self.files.items()) if key.startswith("text_encoder:"))

    def file(self, kind: str, name: str) -> ModelFile:
        """Return the file of a model of the request. Raises KeyError for others."""
        return self.files[ModelName(kind, name).key]


CancelMode = Literal["discard", "interrupt", "skip", "pause"]


class CancelRequest(StrictModel):
    """Body of ``POST /jobs/{id}/cancel``. Takes effect between two steps."""

    # discard: the job fails with code "cancelled".
    # interrupt: the running images are decoded as they are, the rest are dropped, and the job ends with Done.
    # skip: like interrupt, for the running batch only; the next batch starts.
    # pause: of a trainer only. The training saves its state and fails with code "stopping"; a later attempt resumes.
    mode: CancelMode = "discard"


class Accepted(StrictModel):
    """The engine has accepted the job. Models may still be loaded before the first step."""

    type: Literal["accepted"] = "accepted"
    job_id: str
    environment: Environment | None = None  # None: not told


class Progress(StrictModel):
    """Progress of a job. ``step`` is the number of steps done over all images, ``steps`` the total."""

    type: Literal["progress"] = "progress"
    step: int = Field(ge=0)
    steps: int = Field(ge=1)
    images_done: int = Field(default=0, ge=0)
    batch: int = Field(default=0, ge=0)  # index of the running batch
    batch_step: int = Field(default=0, ge=0)  # steps done by its slowest image
    preview: str | None = None  # base64 of a small JPEG
    loss: float | None = None  # of a training: mean of the latest steps

    @property
    def fraction(self) -> float:
        """Progress from 0 to 1."""
        return min(1.0, self.step / self.steps)


class Image(StrictModel):
    """An output image, before the platform writes metadata into it."""

    type: Literal["image"] = "image"
    index: int = Field(ge=0)
    seed: int
    width: int
    height: int
    data: str  # base64 of a PNG file without text chunks
    nsfw: bool | None = None  # None: not checked
    nsfw_score: float | None = None
    extra: bool = False  # stored beside the images of the job; counted by an index of its own
    regions_left_out: int = Field(default=0, ge=0)  # found by detail passes, but beyond their max_regions


class Video(StrictModel):
    """An output video as the ComfyUI server saved it, before the platform writes metadata into it."""

    type: Literal["video"] = "video"
    index: int = Field(ge=0)
    seed: int
    data: str  # base64 of an MP4, WebM, animated PNG, WebP or GIF file
    poster: str = ""  # base64 of an image that shows it, if the server has one: PNG or JPEG


class ControlMap(StrictModel):
    """A control map, sent before the first step. ``index`` counts the maps of the job."""

    type: Literal["control_map"] = "control_map"
    index: int = Field(ge=0)
    data: str  # base64 of a PNG file


class Findings(ImageFindings):
    """The result of task=analyze for one init image."""

    type: Literal["findings"] = "findings"


class TrainedFile(StrictModel):
    """A part of the file that a training has made. The parts are sent in order, after the last step."""

    type: Literal["trained_file"] = "trained_file"
    data: str  # base64
    last: bool = False
    sha256: str = ""  # of the whole file; with the last part only


class Done(StrictModel):
    """Last event of a job that succeeded or was interrupted."""

    type: Literal["done"] = "done"
    engine_seconds: float = Field(ge=0)  # wall time since Accepted
    # The job's share of the device time: the time of each batched call is divided among its rows.
    device_seconds: float = Field(ge=0)
    steps_run: int = Field(ge=0)
    # Sum of the pixels of the image over these steps, because passes have different sizes. None: not counted.
    pixel_steps: int | None = Field(default=None, ge=0)
    # ComfyUI runners: images drawn (an interrupted one counts as the share of its steps), and images from the cache of
    # the server, for which nothing was drawn. None: not counted.
    images_drawn: float | None = Field(default=None, ge=0)
    images_cached: int = Field(default=0, ge=0)


ErrorCode = Literal[
    "cancelled",  # by /jobs/{id}/cancel
    "bad_request",  # the request cannot be executed: unknown sampler, unreadable image...
    "model_unavailable",  # a file is missing, or differs from its registry entry
    "out_of_memory",
    "busy",  # no free slot; the job was not accepted
    "nsfw",  # an output was refused by the NSFW policy
    "stopping",  # the runner is shutting down; the job can be requeued
    "lost",  # the engine died, or the server behind the runner timed out or lost the job; it can be requeued
    "internal",
]


class Failed(StrictModel):
    """Last event of a job that failed. ``message`` is safe to show to clients."""

    type: Literal["failed"] = "failed"
    code: ErrorCode
    message: str
    of_workflow: bool = False  # the ComfyUI template itself, and not the request, does not fit this server
    work: Done | None = None  # work done before the failure; None: nothing, or unknown


Event = Annotated[
    Accepted | Progress | ControlMap | Image | Video | Findings | TrainedFile | Done | Failed,
    Field(discriminator="type"),
]
EVENT: TypeAdapter[Event] = TypeAdapter(Event)


class LoadedModel(StrictModel):
    """A model in memory."""

    path: str
    sha256: str
    size_bytes: int  # in device memory
    load_seconds: float | None = None  # from opening the file until it could be used; None: not measured


class ServerLoad(StrictModel):
    """Load of the ComfyUI server behind an adapter. Its queue counts the prompts of all of its clients."""

    queue: int = Field(default=0, ge=0)
    memory_total: int = Field(default=0, ge=0)  # of its first device, in bytes; 0: not told
    memory_free: int = Field(default=0, ge=0)


class ServerCredentials(StrictModel):
    """Body of ``PUT /credentials`` of an adapter: how it authenticates at its ComfyUI server.

    The platform stores them and sends them again after a restart of the adapter, which keeps them in memory only.
    """

    scheme: Literal["", "bearer", "api_key", "basic"] = ""
    secret: str = Field(default="", max_length=4000, repr=False)  # basic: user:password
    ca: str = Field(default="", max_length=200_000)  # PEM; empty: the usual certificate authorities

    @field_validator("secret")
    @classmethod
    def is_one_line(cls, secret: str) -> str:
        if not secret.isprintable() or not secret.isascii():
            raise ValueError("secret must be one line of ASCII")
        return secret

    def digest(self, token: str) -> str:
        """Value by which both sides see that they have the same. It does not reveal them; empty if there are none."""
        if self == ServerCredentials():
            return ""
        return hmac.new(token.encode(), self.model_dump_json().encode(), hashlib.sha256).hexdigest()


class RunnerStatus(StrictModel):
    """Response of ``GET /status``."""

    protocol: int = PROTOCOL_VERSION
    boot_id: str  # random per process, so that a restart can be detected
    backend: Literal["pipeline", "comfyui", "training"] = "pipeline"
    version: str
    device: str
    slots: int
    slots_busy: int
    jobs: tuple[str, ...] = ()  # ids of accepted jobs
    loaded: tuple[LoadedModel, ...] = ()
    memory_bytes: int = 0  # allocated on the device; resident size of the process without one
    steps_total: int = 0
    calls_total: int = 0  # batched UNet calls
    rows_total: int = 0  # images in those calls
    loads_total: int = 0  # model files read into memory
    uptime_s: float = 0
    problem: str = ""  # why the runner accepts no jobs; shown to operators
    server: ServerLoad | None = None  # ComfyUI runners only
    credentials: str = ""  # digest of the adapter's ServerCredentials; empty: it has none
    inventory: str = ""  # digest of the response of ``GET /inventory``; empty: the runner has none


class FileList(StrictModel):
    """A list of model files that nodes offer for their inputs (``CLASS.INPUT``). Many nodes share one list."""

    inputs: tuple[str, ...]
    files: tuple[str, ...]  # as ComfyUI writes them


class Inventory(StrictModel):
    """Response of ``GET /inventory``: models and nodes of a ComfyUI runner."""

    models: tuple[str, ...] = ()  # paths in the layout of MODELS_ROOT: ``checkpoints/a.safetensors``
    nodes: tuple[str, ...] = ()  # node classes
    file_lists: tuple[FileList, ...] = ()


class WorkflowProblems(StrictModel):
    """Response of ``POST /workflows/check``."""

    problems: tuple[str, ...] = ()
