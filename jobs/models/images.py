"""What a job draws, what it is given to draw from, and what is seen of it meanwhile."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class InputPicture(models.Model):
    """A picture that came with a request, stored once by its content."""

    sha256 = models.CharField(max_length=64, primary_key=True)
    file = models.FileField(_("file"), max_length=300)
    size_bytes = models.PositiveIntegerField(_("size in bytes"))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    used_at = models.DateTimeField(_("last used"), default=timezone.now, db_index=True)  # or sent

    class Meta:
        verbose_name = _("input picture")
        verbose_name_plural = _("input pictures")

    def __str__(self) -> str:
        return self.sha256[:12]


class Preview(models.Model):
    """The newest preview of a running job; gone when the job ends."""

    job = models.OneToOneField("jobs.Job", on_delete=models.CASCADE, primary_key=True, related_name="preview")
    jpeg = models.BinaryField()
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"preview of {self.job_id}"


class OutputKind(models.TextChoices):
    PICTURE = "picture", _("picture")
    CONTROL_MAP = "control_map", _("control map")
    MARKED = "marked", _("copy with a label")  # made after the job, for who asked for the label then


class Output(models.Model):
    """One stored picture of a job: what it drew, or what it shows of its work. Each kind counts from 0."""

    job = models.ForeignKey(
        "jobs.Job", on_delete=models.CASCADE, related_name="outputs", verbose_name=_("job")
    )
    kind = models.CharField(_("kind"), max_length=16, choices=OutputKind, default=OutputKind.PICTURE)
    index = models.PositiveIntegerField(_("index"))
    file = models.FileField(_("file"), max_length=300)
    target_name = models.CharField(max_length=500, blank=True, default="")  # of its copy at the job's target
    sha256 = models.CharField(_("SHA-256"), max_length=64)
    size_bytes = models.PositiveIntegerField(_("size in bytes"))
    width = models.PositiveIntegerField(_("width"))
    height = models.PositiveIntegerField(_("height"))
    seed = models.BigIntegerField(_("seed"))
    content_type = models.CharField(_("type"), max_length=32, default="image/png")
    infotext = models.TextField(_("infotext"), blank=True)
    nsfw = models.BooleanField(_("NSFW"), null=True, default=None)  # null: it was not checked
    nsfw_score = models.FloatField(_("NSFW score"), null=True, default=None)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("picture")
        verbose_name_plural = _("pictures")
        ordering = ["job", "index"]
        constraints = [
            models.UniqueConstraint(fields=["job", "kind", "index"], name="one_output_per_kind_and_index")
        ]

    def __str__(self) -> str:
        return f"{self.job_id} #{self.index}"
