"""Style presets: complete pipeline settings under a key, such as the ``req_key`` of a vendor's API.

A prompt style only adds text to the prompts. A style preset also sets checkpoint, LoRAs, ControlNet and parameters.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from access.models import BusinessSource
from gpu_runner.protocol.catalogs import preprocessors as preprocessor_catalog
from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from models_registry.facts.card import CommercialUse
from models_registry.models.querysets import SharedQuerySet


def _between(lowest: float, highest: float) -> list[Any]:
    return [MinValueValidator(lowest), MaxValueValidator(highest)]


class StylePresetQuerySet(SharedQuerySet["StylePreset"]):
    def usable(self) -> StylePresetQuerySet:
        return self.filter(enabled=True)

    def offered_to(self, source: BusinessSource) -> StylePresetQuerySet:
        """Presets that the source may use, without those whose files it is refused for their license."""
        presets = self.allowed_for(source)
        if not source.commercial_models_only:
            return presets
        for path in ("checkpoint", "vae", "control_model"):
            permitted = models.Q(**{f"{path}__commercial_use": CommercialUse.YES})
            presets = presets.filter(models.Q(**{path: None}) | permitted)
        loras = StylePresetLora.objects.exclude(lora__commercial_use=CommercialUse.YES)
        return presets.exclude(pk__in=loras.values("preset"))


StylePresetManager = models.Manager.from_queryset(StylePresetQuerySet)


class StylePreset(models.Model):
    """A style that clients select by its key, and by a variant if the key has several."""

    class Task(models.TextChoices):
        IMG2IMG = "img2img", _("image to image")
        TXT2IMG = "txt2img", _("text to image")
        INPAINT = "inpaint", _("inpainting")
        OUTPAINT = "outpaint", _("outpainting")

    key = models.CharField(_("key"), max_length=100, help_text=_("Identifier in requests."))
    variant = models.CharField(
        _("variant"),
        max_length=100,
        blank=True,
        help_text=_("For keys with several variants. Empty: the default variant of the key."),
    )
    title = models.CharField(_("title"), max_length=200, blank=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    task = models.CharField(_("task"), max_length=8, choices=Task, default=Task.IMG2IMG)

    checkpoint = models.ForeignKey(
        "models_registry.ModelFile",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        limit_choices_to={"kind": "checkpoint"},
        related_name="+",
        verbose_name=_("checkpoint"),
        help_text=_("None selected: the default checkpoint."),
    )
    vae = models.ForeignKey(
        "models_registry.ModelFile",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        limit_choices_to={"kind": "vae"},
        related_name="+",
        verbose_name=_("VAE"),
        help_text=_("None selected: the VAE of the checkpoint."),
    )
    prompt = models.TextField(
        _("prompt"),
        blank=True,
        max_length=10_000,
        help_text=_("{prompt} is replaced by the prompt of the request. Without it, this text is appended."),
    )
    negative_prompt = models.TextField(_("negative prompt"), blank=True, max_length=10_000)
    prompt_required = models.BooleanField(_("prompt required"), default=False)

    sampler = models.CharField(_("sampler"), max_length=64, default="DPM++ 2M")
    scheduler = models.CharField(_("scheduler"), max_length=64, default="Karras")
    steps = models.PositiveIntegerField(_("steps"), default=20, validators=_between(1, 500))
    guidance_scale = models.FloatField(_("guidance scale"), default=7.0, validators=_between(0, 100))
    strength = models.FloatField(_("strength"), default=0.6, validators=_between(0, 1))
    clip_skip = models.PositiveIntegerField(_("CLIP skip"), default=1, validators=_between(1, 12))
    keep_texture = models.BooleanField(_("keep the texture of the image"), default=True)
    long_side = models.PositiveIntegerField(
        _("long side"),
        default=704,
        validators=[MaxValueValidator(4096)],
        help_text=_(
            "In pixels; the short side follows the aspect ratio of the input image. 0: the size of the input image."
        ),
    )
    width = models.PositiveIntegerField(_("width"), default=512, validators=_between(64, 4096))
    height = models.PositiveIntegerField(_("height"), default=512, validators=_between(64, 4096))

    control_module = models.CharField(
        _("preprocessor"), max_length=64, blank=True, help_text=_("Empty: no ControlNet.")
    )
    control_model = models.ForeignKey(
        "models_registry.ModelFile",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        limit_choices_to={"kind": "controlnet"},
        related_name="+",
        verbose_name=_("ControlNet"),
    )
    control_weight = models.FloatField(_("ControlNet weight"), default=1.0, validators=_between(0, 2))
    control_optional = models.BooleanField(
        _("ControlNet optional"),
        default=False,
        help_text=_(
            "Generate without the ControlNet if its file is missing. Otherwise such requests are refused."
        ),
    )

    max_steps = models.PositiveIntegerField(_("max steps"), default=100, validators=_between(1, 500))
    max_long_side = models.PositiveIntegerField(
        _("max long side"), default=2048, validators=_between(64, 4096)
    )
    allowed_sources = models.ManyToManyField(
        "access.BusinessSource",
        blank=True,
        # The default table name would collide with indexes of the table of prompt styles, which was renamed.
        db_table="models_registry_style_preset_source",
        related_name="+",
        verbose_name=_("allowed sources"),
        help_text=_("None selected: all sources."),
    )

    objects = StylePresetManager()

    class Meta:
        verbose_name = _("style preset")
        verbose_name_plural = _("style presets")
        ordering = ["key", "variant"]
        constraints = [models.UniqueConstraint(fields=["key", "variant"], name="one_style_preset_per_key")]

    def __str__(self) -> str:
        return f"{self.key} / {self.variant}" if self.variant else self.key

    def clean(self) -> None:
        if not sampler_catalog.is_sampler(self.sampler):
            raise ValidationError({"sampler": _("Unknown sampler.")})
        if not sampler_catalog.is_scheduler(self.scheduler):
            raise ValidationError({"scheduler": _("Unknown scheduler.")})
        if self.control_module and preprocessor_catalog.find(self.control_module) is None:
            raise ValidationError({"control_module": _("Unknown preprocessor.")})

    @property
    def max_images(self) -> int:
        """Maximum number of input images of a request: the image to work on, and a mask."""
        return {self.Task.TXT2IMG: 0, self.Task.IMG2IMG: 1}.get(self.Task(self.task), 2)

    def compose_prompt(self, prompt: str) -> str:
        """The effective prompt for the prompt of a request."""
        if "{prompt}" in self.prompt:
            return self.prompt.replace("{prompt}", prompt)
        return ", ".join(part for part in (prompt.strip(), self.prompt) if part)


class StylePresetLora(models.Model):
    """A LoRA of a preset, with the name under which clients may set its weight."""

    preset = models.ForeignKey(StylePreset, on_delete=models.CASCADE, related_name="loras")
    name = models.CharField(_("name"), max_length=255, help_text=_("Name in requests."))
    lora = models.ForeignKey(
        "models_registry.ModelFile",
        on_delete=models.PROTECT,
        limit_choices_to={"kind": "lora"},
        related_name="+",
        verbose_name=_("LoRA"),
    )
    weight = models.FloatField(
        _("weight"),
        default=0.0,
        validators=_between(-10, 10),
        help_text=_("Used if a request sets no weight."),
    )

    class Meta:
        verbose_name = _("LoRA of a style preset")
        verbose_name_plural = _("LoRAs of a style preset")
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["preset", "name"], name="one_lora_per_name_and_preset")
        ]

    def __str__(self) -> str:
        return self.name
