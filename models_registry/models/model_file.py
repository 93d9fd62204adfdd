"""Model files: kind, family, hashes, settings of operators, and the sources that may use them.

All kinds share one table, because scanning, hashing and access are the same for all.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import ClassVar, Self

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from access.models import BusinessSource
from gpu_runner.protocol.families.registry import VARIANTS
from models_registry.facts.card import CommercialUse, ModelCard
from models_registry.facts.generation_defaults import GenerationDefaults
from models_registry.models.kinds import FOLDERS, Family, Kind, Prediction, Variant
from models_registry.models.querysets import SharedQuerySet

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
        "variant",
    }
)


# The same, but by other files of the registry (models_registry.parts).
PARTS = frozenset({"vae_file", "text_encoder_files"})


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
    variant = models.CharField(
        _("editing model"),
        max_length=16,
        blank=True,
        choices=Variant,
        help_text=_(
            "A model that edits by instruction and has the tensors of one that does not: its images are references."
            " Empty: as its file says."
        ),
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
        if self.variant and (self.family, self.variant) not in VARIANTS:
            message = _("It is a model of another family than %(family)s.")
            raise ValidationError({"variant": message % {"family": self.get_family_display()}})

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
