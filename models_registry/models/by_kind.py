"""A proxy model for each kind of file, which gives it a page of its own in the console."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django.utils.translation import gettext_lazy as _

from models_registry.models.kinds import Kind
from models_registry.models.model_file import ModelFile, ModelFileManager


class KindManager(ModelFileManager):
    """Manager of a proxy model: restricts the queryset to its kind."""

    def get_queryset(self) -> Any:
        return super().get_queryset().filter(kind=cast("type[ModelFile]", self.model).KIND)


class Checkpoint(ModelFile):
    KIND = Kind.CHECKPOINT
    objects: ClassVar[KindManager] = KindManager()

    class Meta:
        proxy = True
        verbose_name = _("checkpoint")
        verbose_name_plural = _("checkpoints")


class Lora(ModelFile):
    KIND = Kind.LORA
    objects: ClassVar[KindManager] = KindManager()

    class Meta:
        proxy = True
        verbose_name = _("LoRA")
        verbose_name_plural = _("LoRAs")


class Vae(ModelFile):
    KIND = Kind.VAE
    objects: ClassVar[KindManager] = KindManager()

    class Meta:
        proxy = True
        verbose_name = _("VAE")
        verbose_name_plural = _("VAEs")


class ControlNet(ModelFile):
    KIND = Kind.CONTROLNET
    objects: ClassVar[KindManager] = KindManager()

    class Meta:
        proxy = True
        verbose_name = _("ControlNet")
        verbose_name_plural = _("ControlNets")


class Embedding(ModelFile):
    KIND = Kind.EMBEDDING
    objects: ClassVar[KindManager] = KindManager()

    class Meta:
        proxy = True
        verbose_name = _("embedding")
        verbose_name_plural = _("embeddings")


class Upscaler(ModelFile):
    KIND = Kind.UPSCALER
    objects: ClassVar[KindManager] = KindManager()

    class Meta:
        proxy = True
        verbose_name = _("upscaler")
        verbose_name_plural = _("upscalers")


class Preprocessor(ModelFile):
    KIND = Kind.PREPROCESSOR
    objects: ClassVar[KindManager] = KindManager()

    class Meta:
        proxy = True
        verbose_name = _("preprocessor")
        verbose_name_plural = _("preprocessors")


class Matting(ModelFile):
    KIND = Kind.MATTING
    objects: ClassVar[KindManager] = KindManager()

    class Meta:
        proxy = True
        verbose_name = _("matting model")
        verbose_name_plural = _("matting models")


class NsfwDetector(ModelFile):
    KIND = Kind.NSFW
    objects: ClassVar[KindManager] = KindManager()

    class Meta:
        proxy = True
        verbose_name = _("NSFW detector")
        verbose_name_plural = _("NSFW detectors")


class FaceDetector(ModelFile):
    KIND = Kind.FACE_DETECTOR
    objects: ClassVar[KindManager] = KindManager()

    class Meta:
        proxy = True
        verbose_name = _("face detector")
        verbose_name_plural = _("face detectors")


class FaceRestorer(ModelFile):
    KIND = Kind.FACE_RESTORER
    objects: ClassVar[KindManager] = KindManager()

    class Meta:
        proxy = True
        verbose_name = _("face restorer")
        verbose_name_plural = _("face restorers")


class Detector(ModelFile):
    KIND = Kind.DETECTOR
    objects: ClassVar[KindManager] = KindManager()

    class Meta:
        proxy = True
        verbose_name = _("object detector")
        verbose_name_plural = _("object detectors")


class TextDetector(ModelFile):
    KIND = Kind.TEXT_DETECTOR
    objects: ClassVar[KindManager] = KindManager()

    class Meta:
        proxy = True
        verbose_name = _("text detector")
        verbose_name_plural = _("text detectors")


class Tagger(ModelFile):
    KIND = Kind.TAGGER
    objects: ClassVar[KindManager] = KindManager()

    class Meta:
        proxy = True
        verbose_name = _("tagger")
        verbose_name_plural = _("taggers")


class DiffusionModel(ModelFile):
    KIND = Kind.DIFFUSION_MODEL
    objects: ClassVar[KindManager] = KindManager()

    class Meta:
        proxy = True
        verbose_name = _("diffusion model")
        verbose_name_plural = _("diffusion models")


class TextEncoder(ModelFile):
    KIND = Kind.TEXT_ENCODER
    objects: ClassVar[KindManager] = KindManager()

    class Meta:
        proxy = True
        verbose_name = _("text encoder")
        verbose_name_plural = _("text encoders")
