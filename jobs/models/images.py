"""Input images, previews and output images of jobs."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class SeedField(models.BigIntegerField):
    """A seed modulo 2**64. The column is signed, so that seeds from 2**63 are stored as negative numbers."""

    def deconstruct(self) -> Any:
        """For migrations: the column is that of a BigIntegerField."""
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.BigIntegerField", args, kwargs

    def get_prep_value(self, value: Any) -> Any:
        return value if value is None else (int(value) + 2**63) % 2**64 - 2**63

    def from_db_value(self, value: int | None, expression: Any, connection: Any) -> int | None:
        return value if value is None else value % 2**64


class InputPicture(models.Model):
    """An input image, stored once per SHA-256."""

    sha256 = models.CharField(max_length=64, primary_key=True)
    file = models.FileField(_("file"), max_length=300)
    size_bytes = models.PositiveIntegerField(_("size in bytes"))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    # Last time that a request contained it or a job needed it.
    used_at = models.DateTimeField(_("last used"), default=timezone.now, db_index=True)

    class Meta:
        verbose_name = _("input image")
        verbose_name_plural = _("input images")

    def __str__(self) -> str:
        return self.sha256[:12]


class Preview(models.Model):
    """The latest preview of a running job; deleted when the job ends."""

    job = models.OneToOneField("jobs.Job", on_delete=models.CASCADE, primary_key=True, related_name="preview")
    jpeg = models.BinaryField()
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"preview of {self.job_id}"


class OutputKind(models.TextChoices):
    IMAGE = "picture", _("image")
    CONTROL_MAP = "control_map", _("control map")
    EXTRA = "extra", _("extra image")  # of a further node of a ComfyUI template
    MARKED = "marked", _("labeled copy")  # created after the job, on request


class Output(models.Model):
    """One stored image of a job: a result, a control map, an extra image or a labeled copy. 0-based index per kind."""

    job = models.ForeignKey(
        "jobs.Job", on_delete=models.CASCADE, related_name="outputs", verbose_name=_("job")
    )
    kind = models.CharField(_("kind"), max_length=16, choices=OutputKind, default=OutputKind.IMAGE)
    index = models.PositiveIntegerField(_("index"))
    file = models.FileField(_("file"), max_length=300)
    target_name = models.CharField(max_length=500, blank=True, default="")  # name in the storage target
    sha256 = models.CharField(_("SHA-256"), max_length=64)
    # Of a labeled copy without its signature, which differs each time.
    unsigned_sha256 = models.CharField(max_length=64, blank=True, default="", db_default="", editable=False)
    size_bytes = models.PositiveIntegerField(_("size in bytes"))
    width = models.PositiveIntegerField(_("width"))
    height = models.PositiveIntegerField(_("height"))
    seed = SeedField(_("seed"))
    content_type = models.CharField(_("type"), max_length=32, default="image/png")
    # Of a video only.
    frames = models.PositiveIntegerField(_("frames"), null=True, default=None)
    duration_s = models.FloatField(_("duration in seconds"), null=True, default=None)
    poster = models.FileField(
        max_length=320, blank=True, default="", db_default="", editable=False
    )  # image that shows an MP4 or WebM
    infotext = models.TextField(_("infotext"), blank=True)
    # Drawn on the image when it was stored. Null: stored before this was recorded, or never labeled (control maps).
    visible_texts = models.JSONField(null=True, default=None, editable=False)
    nsfw = models.BooleanField(_("NSFW"), null=True, default=None)  # null: not checked
    nsfw_score = models.FloatField(_("NSFW score"), null=True, default=None)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    # Of an image that is not saved yet; then in a Fingerprint.
    perceptual_hash: int | None = None

    class Meta:
        verbose_name = _("image")
        verbose_name_plural = _("images")
        ordering = ["job", "index"]
        constraints = [
            models.UniqueConstraint(fields=["job", "kind", "index"], name="one_output_per_kind_and_index")
        ]

    def __str__(self) -> str:
        return f"{self.job_id} #{self.index}"

    @property
    def needs_player(self) -> bool:
        """Whether browsers show it in a player; they show animated images as images."""
        return self.content_type.startswith("video/")

    @property
    def frame_rate(self) -> float | None:
        """Frames per second of a video, on average; None for an image."""
        return round(self.frames / self.duration_s, 3) if self.frames and self.duration_s else None
