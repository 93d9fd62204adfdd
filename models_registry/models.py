"""Model files: kind, family, hashes, settings of operators, and the sources that may use them.

All kinds share one table, because scanning, hashing and access are the same for all. A proxy model for each kind gives
it a page of its own in the console.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any, ClassVar, Self, cast

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from access.models import BusinessSource
from models_registry.facts.card import CommercialUse, ModelCard
from models_registry.facts.cover import ModelCover
from models_registry.facts.generation_defaults import GenerationDefaults
from models_registry.prompt_styles import PromptStyle
from models_registry.querysets import SharedQuerySet
from models_registry.scan_runs import ScanRun
from models_registry.style_presets import StylePreset, StylePresetLora
from models_registry.workflow_templates import WorkflowRule, WorkflowTemplate

__all__ = [
    "CommercialUse",
    "ModelCover",
    "PromptStyle",
    "ScanRun",
    "StylePreset",
    "StylePresetLora",
    "WorkflowRule",
    "WorkflowTemplate",
]  # Django requires all models of an app to be importable from this module


class Kind(models.TextChoices):
    CHECKPOINT = "checkpoint", _("checkpoint")
    LORA = "lora", _("LoRA")
    VAE = "vae", _("VAE")
    CONTROLNET = "controlnet", _("ControlNet")
    EMBEDDING = "embedding", _("embedding")
    UPSCALER = "upscaler", _("upscaler")
    PREPROCESSOR = "preprocessor", _("preprocessor")
    MATTING = "matting", _("matting model")
    NSFW = "nsfw", _("NSFW detector")
    FACE_DETECTOR = "face_detector", _("face detector")
    FACE_RESTORER = "face_restorer", _("face restorer")
    TAGGER = "tagger", _("tagger")
    TEXT_DETECTOR = "text_detector", _("text detector")
    DETECTOR = "detector", _("object detector")
    DIFFUSION_MODEL = "diffusion_model", _("diffusion model")
    TEXT_ENCODER = "text_encoder", _("text encoder")
    UNKNOWN = "unknown", _("unknown")


class Family(models.TextChoices):
    SD15 = "sd15", "Stable Diffusion 1.x"
    SD2 = "sd2", "Stable Diffusion 2.x"
    SDXL = "sdxl", "Stable Diffusion XL"
    SD3 = "sd3", "Stable Diffusion 3.x"
    Z_IMAGE = "z_image", "Z-Image"
    FLUX1 = "flux1", "FLUX.1"
    CHROMA = "chroma", "Chroma"
    FLUX2 = "flux2", "FLUX.2"
    QWEN_IMAGE = "qwen_image", "Qwen-Image"
    UNKNOWN = "unknown", _("unknown")


class Prediction(models.TextChoices):
    EPSILON = "epsilon", _("noise (epsilon)")
    VELOCITY = "v_prediction", _("velocity (v-prediction)")


class ModelFileQuerySet(SharedQuerySet["ModelFile"]):
    def usable(self) -> ModelFileQuerySet:
        """Enabled, present below MODELS_ROOT, not expired, without problem, and of a known kind."""
        kept = models.Q(expires_at=None) | models.Q(expires_at__gt=timezone.now())
        present = self.filter(kept, enabled=True, missing_since=None, problem="")
        return present.exclude(kind=Kind.UNKNOWN)

    def allowed_for(self, source: BusinessSource) -> Self:
        """Files that the source may use: open to it, and if it asks for that, permitted for commercial use."""
        files = self.open_to(source)
        return files.filter(commercial_use=CommercialUse.YES) if source.commercial_models_only else files

    def open_to(self, source: BusinessSource) -> Self:
        """Files that are not restricted to other sources."""
        return super().allowed_for(source)

    def on_runners(self) -> ModelFileQuerySet:
        """Enabled, of a known kind, and among the own files of an enabled runner."""
        return self.filter(enabled=True, runners__enabled=True).exclude(kind=Kind.UNKNOWN).distinct()


ModelFileManager = models.Manager.from_queryset(ModelFileQuerySet)

INPAINTING = "atelier.inpainting"  # key of ``metadata``
RESIDUALS = "atelier.residuals"  # the same: number of outputs of a ControlNet
FAMILIES = "atelier.families"  # the same: families that a VAE fits, separated by spaces
ENCODER, ENCODERS = (
    "atelier.encoder",
    "atelier.encoders",
)  # the same: kind of a text encoder; those in a checkpoint
WIDTH = "atelier.width"  # the same: width of the vectors of an embedding or text encoder
CONTEXT_WIDTH = (
    "atelier.context_width"  # the same: width of the text encoder's states that a checkpoint reads
)
WITHOUT_TEXT = "atelier.without_text"  # the same: set for a UNet without its text encoders
VARIANT = "atelier.variant"  # the same: variant of a family, such as schnell


def control_title(path: str, digest: str) -> str:
    """Title of a ControlNet. Files that only a ComfyUI server has have no hash."""
    stem = PurePosixPath(path).stem
    return f"{stem} [{digest}]" if digest else stem


class ModelFile(ModelCard, GenerationDefaults):
    """A model file below MODELS_ROOT: the findings of the last scan, and the settings of operators."""

    KIND: ClassVar[str] = ""

    kind = models.CharField(_("kind"), max_length=16, choices=Kind, default=Kind.UNKNOWN)
    family = models.CharField(_("family"), max_length=12, choices=Family, default=Family.UNKNOWN)
    name = models.CharField(
        _("name"), max_length=255, help_text=_("Name in requests. Initially the file name without extension.")
    )
    aliases = models.JSONField(
        _("other names"),
        default=list,
        blank=True,
        help_text=_("Other names under which clients may request this file."),
    )
    path = models.CharField(_("path"), max_length=500, unique=True, help_text=_("Relative to MODELS_ROOT."))
    size_bytes = models.BigIntegerField(_("size in bytes"), default=0)
    modified_ns = models.BigIntegerField(default=0, editable=False)
    sha256 = models.CharField(_("SHA-256"), max_length=64, blank=True, db_index=True)
    tensors_sha256 = models.CharField(
        _("SHA-256 of the tensors"),
        max_length=64,
        blank=True,
        help_text=_("Hash without the safetensors header, by which kohya's tools and A1111 identify LoRAs."),
    )
    legacy_hash = models.CharField(
        _("legacy hash"),
        max_length=8,
        blank=True,
        help_text=_(
            "Eight digits, over part of the file, as shown by old A1111 versions and its ControlNet."
        ),
    )
    prediction_type = models.CharField(
        _("prediction type"),
        max_length=12,
        blank=True,
        choices=Prediction,
        help_text=_("What the checkpoint was trained to predict. Empty: as its file says."),
    )
    zero_terminal_snr = models.BooleanField(
        _("zero terminal SNR"),
        null=True,
        blank=True,
        help_text=_("Whether the checkpoint was trained with zero terminal SNR. Unknown: as its file says."),
    )
    vae_file = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("VAE of the checkpoint"),
        help_text=_("Used by requests that name none. Empty: that of the file, or the default."),
    )
    text_encoder_files = models.ManyToManyField(
        "self",
        symmetrical=False,
        blank=True,
        related_name="+",
        verbose_name=_("text encoders of the checkpoint"),
        help_text=_(
            "One file for each kind, in place of those in the checkpoint. A scan chooses those that it lacks."
        ),
    )
    metadata = models.JSONField(_("metadata"), default=dict, blank=True)
    instruct = models.BooleanField(
        _("edits by instruction"),
        default=False,
        editable=False,
        help_text=_("An InstructPix2Pix checkpoint: it edits an init image as the prompt says."),
    )
    without_vae = models.BooleanField(
        _("without VAE"),
        default=False,
        editable=False,
        help_text=_(
            "The checkpoint has no complete VAE; a request must name one, or a VAE must be the default."
        ),
    )
    left_out = models.CharField(
        _("not used"),
        max_length=300,
        blank=True,
        editable=False,
        help_text=_("Number and examples of the modules and tensors of a LoRA that have no effect here."),
    )
    bundled_embeddings = models.JSONField(
        _("bundled embeddings"),
        default=list,
        blank=True,
        editable=False,
        help_text=_("Embeddings inside the LoRA. They act in prompts that load it."),
    )
    # Fields that operators have set, so that a scan does not fill them from the file.
    edited_fields = models.JSONField(default=list, editable=False)
    is_described = models.BooleanField(default=False, editable=False)  # whether a scan has filled the card
    cost_multiplier = models.FloatField(_("cost multiplier"), default=1.0, validators=[MinValueValidator(0)])
    enabled = models.BooleanField(_("enabled"), default=True)
    is_default = models.BooleanField(
        _("default"), default=False, help_text=_("Used if a request names no model of this kind.")
    )
    allowed_sources = models.ManyToManyField(
        "access.BusinessSource",
        blank=True,
        related_name="+",
        verbose_name=_("allowed sources"),
        help_text=_("None selected: all sources."),
    )
    # Of trained models. From then on the file is not used; the hourly cleanup deletes it.
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True, editable=False)
    missing_since = models.DateTimeField(_("missing since"), null=True, blank=True, editable=False)
    problem = models.CharField(_("problem"), max_length=300, blank=True, editable=False)
    created_at = models.DateTimeField(_("registered"), auto_now_add=True)
    scanned_at = models.DateTimeField(_("scanned"), null=True, blank=True, editable=False)

    objects = ModelFileManager()

    class Meta:
        verbose_name = _("model file")
        verbose_name_plural = _("model files")
        ordering = ["kind", "name"]
        constraints = [models.UniqueConstraint(fields=["kind", "name"], name="one_model_of_a_kind_per_name")]
        indexes = [models.Index(fields=["kind", "enabled"], name="model_by_kind")]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        super().clean()
        if not isinstance(self.aliases, list) or not all(isinstance(name, str) for name in self.aliases):
            raise ValidationError({"aliases": _("Must be a list of names.")})

    def mark_edited(self, fields: Iterable[str]) -> None:
        """Remember which fields an operator has set. The row is not saved."""
        self.edited_fields = sorted({*self.edited_fields, *(set(fields) & (FILLED_BY_SCANS | PARTS))})

    def become_default(self) -> None:
        """Make this file the only default of its kind."""
        ModelFile.objects.filter(kind=self.kind, is_default=True).exclude(pk=self.pk).update(is_default=False)
        ModelFile.objects.filter(pk=self.pk).update(is_default=True)

    @property
    def short_hash(self) -> str:
        """First ten hexadecimal digits of the SHA-256, as A1111 shows checkpoints; empty before hashing."""
        return self.sha256[:10]

    @property
    def control_title(self) -> str:
        """Name in A1111's ControlNet extension: file name without extension, and an eight-digit hash if it is known."""
        return control_title(self.path, self.legacy_hash or self.sha256[:8])

    @property
    def lora_hash(self) -> str:
        """First twelve hexadecimal digits of the tensor hash, as A1111 writes them into infotexts."""
        return self.tensors_sha256[:12]

    @property
    def title(self) -> str:
        """Title in A1111's API: relative path and short hash."""
        return f"{self.path_in_kind} [{self.short_hash}]" if self.sha256 else self.path_in_kind

    @property
    def path_in_kind(self) -> str:
        """The path without the folder of its kind: ``checkpoints/a/b.safetensors`` -> ``a/b.safetensors``."""
        folder, _slash, rest = self.path.partition("/")
        return rest if rest and folder in FOLDERS.values() else self.path


class Architecture(models.Model):
    """Configuration of a checkpoint or ControlNet, or the shapes that a LoRA needs. Only admission reads it, once a process."""

    file = models.OneToOneField(ModelFile, on_delete=models.CASCADE, primary_key=True)
    content = models.JSONField()

    def __str__(self) -> str:
        return str(self.file)


# Fields that a scan fills from the metadata and the family, unless an operator has set them.
FILLED_BY_SCANS = frozenset(
    {
        "description",
        "author",
        "base",
        "tags",
        "licence",
        "commercial_use",
        "trigger_words",
        "default_steps",
        "default_guidance_scale",
        "default_sampler",
        "default_scheduler",
        "default_width",
        "default_height",
        "default_clip_skip",
    }
)


# The same, but by other files of the registry (models_registry.parts).
PARTS = frozenset({"vae_file", "text_encoder_files"})

FOLDERS: dict[str, str] = {
    Kind.CHECKPOINT: "checkpoints",
    Kind.LORA: "loras",
    Kind.VAE: "vae",
    Kind.CONTROLNET: "controlnet",
    Kind.EMBEDDING: "embeddings",
    Kind.UPSCALER: "upscalers",
    Kind.PREPROCESSOR: "preprocessors",
    Kind.MATTING: "matting",
    Kind.NSFW: "nsfw",
    Kind.FACE_DETECTOR: "face_detection",
    Kind.FACE_RESTORER: "face_restoration",
    Kind.TEXT_DETECTOR: "text_detection",
    Kind.TAGGER: "taggers",
    Kind.DETECTOR: "detectors",
    Kind.DIFFUSION_MODEL: "diffusion_models",
    Kind.TEXT_ENCODER: "text_encoders",
}


# Kinds of which a request without a name uses the default file; the default VAE is used for checkpoints without one
# only. A request without a LoRA, a ControlNet or an embedding uses none.
KINDS_WITH_DEFAULT = frozenset(
    {
        Kind.CHECKPOINT,
        Kind.VAE,
        Kind.UPSCALER,
        Kind.MATTING,
        Kind.NSFW,
        Kind.FACE_DETECTOR,
        Kind.FACE_RESTORER,
        Kind.TEXT_DETECTOR,
        Kind.TAGGER,
    }
)


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
