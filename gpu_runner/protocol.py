"""What crosses the border between the platform and a runner. No torch, no Django.

A worker POSTs a RunOrder to ``/generate`` and reads events, one JSON object a line, until a Done or a Failed.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator, model_validator

PROTOCOL_VERSION = 1

SHA256 = re.compile(r"[0-9a-f]{64}")
MAX_SEED = 2**32 - 1


class Message(BaseModel):
    """Frozen and strict about unknown fields: a word that one side does not know must not be dropped in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelFile(Message):
    """A file under MODELS_ROOT. ``path`` is relative, with forward slashes; ``sha256`` is checked before loading."""

    path: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @field_validator("path")
    @classmethod
    def stays_below_the_root(cls, path: str) -> str:
        parts = path.split("/")
        if not path or path.startswith("/") or "\\" in path or "\0" in path or ".." in parts or "" in parts:
            raise ValueError("must be a relative path inside MODELS_ROOT")
        return path


class Picture(Message):
    """An input picture, named by the SHA-256 of its bytes. The bytes travel beside the request, never in it."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class GenerationRequest(Message):
    """The canonical request: what every dialect is translated to, and what a job keeps.

    Names are diffusers'. Sizes are pixels. Seeds are resolved at admission, so that a retry draws the same pictures.
    """

    task: Literal["txt2img", "img2img"] = "txt2img"
    checkpoint: str = ""  # the registry's name; empty asks for the default checkpoint
    prompt: str = Field(default="", max_length=20_000)
    negative_prompt: str = Field(default="", max_length=20_000)
    width: int = Field(default=512, ge=64, le=4096, multiple_of=8)
    height: int = Field(default=512, ge=64, le=4096, multiple_of=8)
    num_inference_steps: int = Field(default=20, ge=1, le=500)
    guidance_scale: float = Field(default=7.0, ge=0, le=100, allow_inf_nan=False)
    sampler: str = "Euler"
    scheduler: str = "Automatic"  # a label of schedules.SCHEDULES
    eta: float | None = Field(
        default=None, ge=0, le=10, allow_inf_nan=False
    )  # None: the sampler's own default
    clip_skip: int = Field(default=1, ge=1, le=12)
    seed: int = Field(default=0, ge=0, le=MAX_SEED)  # picture i is drawn with (seed + i) modulo 2**32
    num_images: int = Field(default=1, ge=1, le=256)
    batch_size: int = Field(
        default=1, ge=1, le=256
    )  # pictures of this job drawn at the same time; then the next batch
    init_images: tuple[Picture, ...] = ()  # img2img: one for all pictures, or one each
    resize_mode: Literal["stretch", "crop", "fill"] = "stretch"
    strength: float = Field(default=0.75, ge=0, le=1, allow_inf_nan=False)
    output_format: Literal["png", "jpeg", "webp"] = "png"
    preview_every: int = Field(default=0, ge=0, le=500)  # steps between previews; 0 sends none

    @model_validator(mode="after")
    def has_the_pictures_its_task_needs(self) -> GenerationRequest:
        if self.task == "img2img":
            if len(self.init_images) not in (1, self.num_images):
                raise ValueError("img2img needs one init image, or one for each picture")
        elif self.init_images:
            raise ValueError("txt2img takes no init image")
        return self

    def seed_of(self, index: int) -> int:
        return (self.seed + index) % (MAX_SEED + 1)


class RunOrder(Message):
    """One job for a runner: the request, the files that its names stand for, and the bytes of its input pictures."""

    protocol: int = PROTOCOL_VERSION
    job_id: str = Field(min_length=1, max_length=64)
    request: GenerationRequest
    checkpoint: ModelFile
    inputs: dict[str, str] = {}  # sha256 -> base64 of the picture file's bytes

    @model_validator(mode="after")
    def carries_every_input(self) -> RunOrder:
        missing = [
            picture.sha256 for picture in self.request.init_images if picture.sha256 not in self.inputs
        ]
        if missing:
            raise ValueError(f"inputs lack {missing[0]}")
        return self


class CancelOrder(Message):
    """Body of ``POST /jobs/{id}/cancel``; acts between two steps."""

    # discard: the job fails with code "cancelled".
    # interrupt: the pictures under way are decoded as they are, the rest is dropped, and the job is Done.
    # skip: like interrupt, but only for the batch under way; the next batch begins.
    mode: Literal["discard", "interrupt", "skip"] = "discard"


class Accepted(Message):
    """The engine holds the job. It may still load a model before the first step."""

    type: Literal["accepted"] = "accepted"
    job_id: str


class Progress(Message):
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


class Image(Message):
    """A finished picture, before any metadata is written into it."""

    type: Literal["image"] = "image"
    index: int = Field(ge=0)
    seed: int
    width: int
    height: int
    data: str  # base64 of a PNG file without text chunks


class Done(Message):
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
    "internal",
]


class Failed(Message):
    """The last event of a job that did not succeed. ``message`` is fit for the client's eyes."""

    type: Literal["failed"] = "failed"
    code: ErrorCode
    message: str


Event = Annotated[Accepted | Progress | Image | Done | Failed, Field(discriminator="type")]
EVENT: TypeAdapter[Event] = TypeAdapter(Event)


class LoadedModel(Message):
    path: str
    sha256: str
    size_bytes: int  # in the device's memory


class RunnerStatus(Message):
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
    uptime_s: float = 0
