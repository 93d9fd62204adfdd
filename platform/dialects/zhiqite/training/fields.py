"""Fields of the vendor's training request, with its limits. Names may be in camelCase or snake_case, as in its example."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AliasChoices, AliasGenerator, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_snake

from dialects.zhiqite.request.json_body import Fraction, Id, Link, Name, Prompt, Wire
from gpu_runner.protocol import MAX_SEED
from jobs.training.submission import MAX_RESOLUTION, MIN_RESOLUTION

MIN_FILES, MAX_FILES = 10, 100
Schedule = Literal["constant", "cosine", "linear"]
# Names of kohya's scripts -> schedule here. They differ in the warm-up, which lrWarmupSteps gives.
SCHEDULES: dict[str, Schedule] = {
    "constant": "constant",
    "constant_with_warmup": "constant",
    "cosine": "cosine",
    "linear": "linear",
}


def _scheduler(value: Any) -> Any:
    name = value.strip().lower() if isinstance(value, str) else value
    if not isinstance(name, str) or name not in SCHEDULES:
        raise ValueError(f"must be one of: {', '.join(SCHEDULES)}")
    return name


Rate = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


def _both_spellings(name: str) -> AliasChoices:
    return AliasChoices(name, to_snake(name))


class SubmitTraining(Wire):
    """Body of submitTraining/Job."""

    model_config = ConfigDict(alias_generator=AliasGenerator(validation_alias=_both_spellings))

    # Of the vendor's trainer: how it computes, not what it learns.
    WITHOUT_EFFECT: ClassVar[tuple[str, ...]] = (
        *("maxTokenLength", "randomCrop", "mixedPrecision", "savePrecision", "numCpuThreadsPerProcess"),
        *("cacheLatents", "cacheLatentsToDisk", "optimizerType", "enableBucket", "minBucketReso"),
        *("maxBucketReso", "networkDropout", "rankDropout", "moduleDropout", "networkArgs", "colorAug"),
        *("noiseOffset", "v2"),
    )

    taskId: Id
    fileUrlList: tuple[Link, ...] = Field(min_length=MIN_FILES, max_length=MAX_FILES)
    callbackUrl: Link = ""  # [R]
    triggerWords: Prompt = ""  # [R]
    maxEpochs: int = Field(default=20, ge=10, le=50)
    repeats: int = Field(default=1, ge=1, le=1000)
    batchSize: int = Field(default=1, ge=1, le=4)
    gradientAccumulationSteps: int = Field(default=1, ge=1, le=16)
    learningRate: Annotated[float, Field(ge=1e-7, le=1e-4, allow_inf_nan=False)] = 1e-5
    unetLr: Rate | None = None
    textEncoderLr: Rate = 0.0
    lrScheduler: Annotated[str, BeforeValidator(_scheduler)] = "constant"
    lrWarmupSteps: int = Field(default=0, ge=0, le=100)
    clipSkip: int = Field(default=1, ge=1, le=5)
    pretrainedModel: Name = ""
    resolution: int | None = Field(default=None, ge=MIN_RESOLUTION, le=MAX_RESOLUTION, multiple_of=8)
    seed: int | None = Field(default=None, ge=-1, le=MAX_SEED)
    networkModule: Literal["networks.lora"] = "networks.lora"
    networkDim: int = Field(default=128, ge=1, le=256)
    networkAlpha: float | None = Field(default=None, gt=0, le=1024, allow_inf_nan=False)
    flipAug: bool = False
    maxTokenLength: Literal[0, 150, 225] = 225
    randomCrop: bool = False
    mixedPrecision: Name = ""
    savePrecision: Name = ""
    numCpuThreadsPerProcess: int = Field(default=1, ge=1, le=20)
    cacheLatents: bool = False
    cacheLatentsToDisk: bool = False
    optimizerType: Name = ""
    enableBucket: bool = True
    minBucketReso: int | None = Field(default=None, ge=1, le=8192)
    maxBucketReso: int | None = Field(default=None, ge=1, le=8192)
    networkDropout: Fraction = 0.0
    rankDropout: Fraction = 0.0
    moduleDropout: Fraction = 0.0
    networkArgs: Prompt = ""
    v2: bool = False
    colorAug: bool = False
    noiseOffset: Fraction = 0.0

    @model_validator(mode="before")
    @classmethod
    def numbers_of_text(cls, value: Any) -> Any:
        """maxTokenLength has choices, which are compared without conversion."""
        if not isinstance(value, dict):
            return value
        names = ("maxTokenLength", "max_token_length")
        texts = {name: value[name].strip() for name in names if isinstance(value.get(name), str)}
        return value | {name: int(text) for name, text in texts.items() if text in ("0", "150", "225")}

    @property
    def without_effect(self) -> list[str]:
        """Names of the fields that were sent with another value than their default and have no effect."""
        defaults = type(self).model_fields
        return [
            name
            for name in self.WITHOUT_EFFECT
            if name in self.model_fields_set and getattr(self, name) != defaults[name].default
        ]


class TrainingQuery(Wire):
    """Body of the query of a training. [R]"""

    taskId: Id = Field(validation_alias=AliasChoices("taskId", "task_id", "businessTaskId"))
