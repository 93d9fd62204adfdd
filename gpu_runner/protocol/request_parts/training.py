"""Training of a LoRA: the data set and the settings of task=train_lora."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .values import Fraction, InputImage, Name, Prompt, StrictModel

MAX_TRAINING_IMAGES = 200
MAX_TRAINING_STEPS = 20_000
LearningRate = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class TrainingImage(StrictModel):
    """One image of a data set, with its caption. The trigger words are put in front of the caption if it lacks them."""

    image: InputImage
    caption: Prompt = ""


class LoraTraining(StrictModel):
    """Parameters of task=train_lora. The result is one LoRA file: in the kohya layout, and of transformers in that of PEFT.

    The request's ``width`` and ``height`` are the resolution: images are scaled to about ``width * height`` pixels in
    buckets of their own aspect ratio. The output image is a grid of ``samples`` images with the request's prompt, or with the
    first caption; ``seed`` seeds them and the training.
    """

    images: tuple[TrainingImage, ...] = Field(min_length=1, max_length=MAX_TRAINING_IMAGES)
    trigger: Name = ""  # words that call the subject or style
    title: Name = ""  # modelspec.title of the file
    author: Name = ""
    license: Name = ""
    base_name: Name = ""  # name of the checkpoint, for the file's metadata
    # Captions images without one with their tags, of at least this score; None: the tagger's default. Empty: it does not.
    tagger: Name = ""
    tag_threshold: Fraction | None = None
    steps: int = Field(default=500, ge=1, le=MAX_TRAINING_STEPS)
    batch_size: int = Field(default=1, ge=1, le=16)
    rank: int = Field(default=16, ge=1, le=256)
    alpha: float = Field(default=16.0, gt=0, le=1024, allow_inf_nan=False)
    learning_rate: LearningRate = 1e-4
    text_encoder_learning_rate: LearningRate = 0.0  # 0: the text encoders are not trained
    schedule: Literal["constant", "cosine", "linear"] = "cosine"
    warmup_steps: int = Field(default=0, ge=0, le=MAX_TRAINING_STEPS)
    min_snr_gamma: float = Field(default=5.0, ge=0, le=100, allow_inf_nan=False)  # 0: unweighted
    # The trained model keeps what the base model predicts for this prompt, with this weight.
    class_prompt: Prompt = ""
    prior_weight: float = Field(default=1.0, ge=0, le=10, allow_inf_nan=False)
    flip: bool = False  # also train with mirrored images
    gradient_checkpointing: bool = False
    samples: int = Field(default=4, ge=1, le=16)
    sample_every: int = Field(
        default=0, ge=0, le=MAX_TRAINING_STEPS
    )  # steps between samples; 0: only at the end

    @model_validator(mode="after")
    def trains_something(self) -> LoraTraining:
        if not self.learning_rate and not self.text_encoder_learning_rate:
            raise ValueError("learning_rate or text_encoder_learning_rate must be above 0")
        return self

    @property
    def keeps_prior(self) -> bool:
        return bool(self.class_prompt and self.prior_weight)

    def captions(self) -> list[str]:
        """Caption of each image, with the trigger words."""
        return [self.with_trigger(image.caption) for image in self.images]

    def with_trigger(self, caption: str) -> str:
        if not self.trigger or self.trigger.lower() in caption.lower():
            return caption
        return f"{self.trigger}, {caption}" if caption else self.trigger
