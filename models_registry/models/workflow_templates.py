"""Workflow templates for ComfyUI, and rules that assign requests to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from gpu_runner.protocol.workflows import slots
from gpu_runner.protocol.workflows.requirements import Requirements, requirements_of
from gpu_runner.protocol.workflows.template import Workflow

SHIPPED = Path(__file__).parents[1] / "shipped_workflows"


class WithoutSlot(models.TextChoices):
    """What happens to a requested value that a template has no slot for."""

    REFUSE = "refuse", _("refuse the request")
    NOTE = "note", _("ignore it, with a note")
    IGNORE = "ignore", _("ignore it")


class OutputType(models.TextChoices):
    """What a template makes of a request."""

    IMAGE = "image", _("image")
    VIDEO = "video", _("video")


VIDEO_PURPOSES = frozenset({"txt2video", "img2video"})


class WorkflowTemplate(models.Model):
    """A ComfyUI graph in API format, and the slots into which the values of a request are filled."""

    class Purpose(models.TextChoices):
        TXT2IMG = "txt2img", _("text to image")
        IMG2IMG = "img2img", _("image to image")
        INPAINT = "inpaint", _("inpainting")
        HIRES = "hires", _("hires fix, latent upscale")
        HIRES_UPSCALER = "hires_upscaler", _("hires fix, upscale model")
        CHANGE_BACKGROUND = "change_background", _("change of background")
        UPSCALE = "upscale", _("upscaling")
        EDIT = "edit", _("editing by instruction")
        TXT2VIDEO = "txt2video", _("text to video")
        IMG2VIDEO = "img2video", _("image to video")

    name = models.CharField(_("name"), max_length=100, unique=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    purpose = models.CharField(
        _("default for"),
        max_length=20,
        choices=Purpose,
        blank=True,
        help_text=_("Used for ComfyUI requests that match no rule. Empty: used only for the rules below."),
    )
    output = models.CharField(
        _("output"),
        max_length=8,
        choices=OutputType,
        default=OutputType.IMAGE,
        db_default=OutputType.IMAGE,
        help_text=_("Videos are made only for requests that ask for a video."),
    )
    graph = models.JSONField(_("graph"), help_text=_("JSON file from ComfyUI's menu item Export (API)."))
    slots = models.JSONField(
        _("slots"),
        help_text=_(
            'Inputs of the graph to fill in: {"prompt": "6.text", "seed": "3.seed", "loras": ["4:0", "4:1"], '
            '"filename_prefix": "9.filename_prefix"}. docs/comfyui.md lists the slots.'
        ),
    )

    cost_steps = models.PositiveIntegerField(
        _("steps billed"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("Per image. Empty: those of the request, or of the graph if it has no slot for them."),
    )
    cost_megapixels = models.FloatField(
        _("megapixels billed"),
        null=True,
        blank=True,
        validators=[MinValueValidator(0.000001)],
        help_text=_("Per image. Empty: those of the request, or of the graph if it has no slot for them."),
    )
    cost_frames = models.PositiveIntegerField(
        _("frames billed"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("Per video. Empty: those of the request, or of the graph if it has no slot for them."),
    )
    cost_factor = models.FloatField(
        _("cost factor"),
        default=1.0,
        validators=[MinValueValidator(0)],
        help_text=_(
            "Cost of an image: steps × megapixels × this factor × the multiplier of the model; of a video, times its frames."
        ),
    )
    cost_per_second = models.DecimalField(
        _("cost per second"),
        max_digits=18,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text=_("Bills the execution time on the server instead of steps and megapixels."),
    )
    cost_max_seconds = models.FloatField(
        _("seconds reserved"),
        null=True,
        blank=True,
        validators=[MinValueValidator(0.001)],
        help_text=_("Per image, with a cost per second: so much is reserved, and at most so much is billed."),
    )
    cached_share = models.FloatField(
        _("share billed for cached images"),
        default=1.0,
        validators=[MinValueValidator(0), MaxValueValidator(1)],
        help_text=_("Share of the cost of an image that ComfyUI returned from its cache without drawing it."),
    )
    without_slot = models.CharField(
        _("fields without a slot"),
        max_length=8,
        choices=WithoutSlot,
        default=WithoutSlot.REFUSE,
        help_text=_(
            "What happens to numbers, names and negative prompts that a request asks for and the graph has no slot for."
        ),
    )
    if_asked = models.JSONField(
        _("slots filled only if asked"),
        default=list,
        blank=True,
        help_text=_(
            'Slots that keep the value of the graph if the request has its default, such as ["guidance_scale", '
            '"num_inference_steps"].'
        ),
    )
    # Requirements of graph and slots, computed when the template is saved. Null: saved by an older version.
    requirements = models.JSONField(null=True, editable=False)

    class Meta:
        verbose_name = _("workflow template")
        verbose_name_plural = _("workflow templates")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["purpose"],
                condition=models.Q(enabled=True) & ~models.Q(purpose=""),
                name="one_workflow_per_purpose",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        try:
            self.requirements = requirements_of(self.workflow()).as_json()
        except ValueError:  # ``clean`` reports it; such a template is refused when a job needs it
            self.requirements = None
        super().save(*args, **kwargs)

    def clean(self) -> None:
        self.graph = slots.unwrapped(self.graph)
        self.if_asked = self.if_asked or []  # an emptied field of a form is null
        try:
            self.workflow()
        except ValueError as error:
            field = "slots" if str(error).startswith("slot") else "graph"
            field = next((name for name in ("if_asked", "output") if str(error).startswith(name)), field)
            raise ValidationError({field: str(error)}) from error
        if self.purpose and (self.purpose in VIDEO_PURPOSES) != (self.output == OutputType.VIDEO):
            raise ValidationError(
                {"purpose": _("The purpose and the output must both be videos, or both images.")}
            )
        if (self.cost_per_second is None) != (self.cost_max_seconds is None):
            field = "cost_per_second" if self.cost_per_second is None else "cost_max_seconds"
            raise ValidationError({field: _("Cost per second and seconds reserved are set together.")})

    @property
    def needs(self) -> Requirements:
        """Node classes and files that a server must have. Raises ValueError for an invalid template."""
        if self.requirements is None:
            return requirements_of(self.workflow())
        return Requirements.read(self.requirements)

    def workflow(self) -> Workflow:
        """The validated template. Raises ValueError with a message for operators."""
        return slots.read(self.name, self.graph, self.slots, self.if_asked, self.output)


class WorkflowRule(models.Model):
    """Assigns matching requests to a template, and with it to the ComfyUI backend."""

    class Purpose(models.TextChoices):
        TXT2IMG = "txt2img", _("text to image")
        IMG2IMG = "img2img", _("image to image")
        INPAINT = "inpaint", _("inpainting")
        HIRES = "hires", _("hires fix")
        HIRES_UPSCALER = "hires_upscaler", _("hires fix, upscale model")
        CONTROLNET = "controlnet", _("ControlNet")
        CHANGE_BACKGROUND = "change_background", _("change of background")
        UPSCALE = "upscale", _("upscaling")
        EDIT = "edit", _("editing by instruction")
        VIDEO = "video", _("video")
        TXT2VIDEO = "txt2video", _("text to video")
        IMG2VIDEO = "img2video", _("image to video")

    template = models.ForeignKey(WorkflowTemplate, on_delete=models.CASCADE, related_name="rules")
    source = models.ForeignKey(
        "access.BusinessSource",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("business source"),
        help_text=_("Empty: any."),
    )
    purpose = models.CharField(
        _("purpose"),
        max_length=20,
        choices=Purpose,
        blank=True,
        help_text=_("What the request asks for, in any dialect. Empty: anything."),
    )
    model = models.CharField(
        _("model"),
        max_length=255,
        blank=True,
        help_text=_("Checkpoint name of the request. The template need not have a slot for it. Empty: any."),
    )
    dialect = models.CharField(_("dialect"), max_length=32, blank=True, help_text=_("Empty: any."))
    operation = models.CharField(
        _("operation"),
        max_length=64,
        blank=True,
        help_text=_("Name of the endpoint, as shown on the page of a job. Empty: any."),
    )
    style = models.CharField(
        _("style or req_key"),
        max_length=100,
        blank=True,
        help_text=_("Prompt style or req_key of the request. Empty: any."),
    )

    class Meta:
        verbose_name = _("workflow rule")
        verbose_name_plural = _("workflow rules")
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["dialect", "operation", "style", "purpose", "model", "source"],
                name="one_workflow_per_rule_of_source",
            ),
            models.UniqueConstraint(
                fields=["dialect", "operation", "style", "purpose", "model"],
                condition=models.Q(source=None),
                name="one_workflow_per_rule",
            ),
        ]

    def __str__(self) -> str:
        source = self.source.name if self.source else ""
        parts = (source, self.dialect, self.operation, self.purpose, self.model, self.style)
        return " ".join(filter(None, parts)) or "*"


def shipped() -> list[dict[str, object]]:
    """Field values of the templates that are shipped with the platform."""
    files = sorted(SHIPPED.glob("*.json"))
    return [{"name": file.stem, **json.loads(file.read_text())} for file in files]
