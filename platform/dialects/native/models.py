"""Uploaded input images of each source."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class UploadedImage(models.Model):
    """An input image that a source has sent. Images are stored once; only sources with an upload may reference one."""

    source = models.ForeignKey(
        "access.BusinessSource", on_delete=models.CASCADE, related_name="+", verbose_name=_("business source")
    )
    image = models.ForeignKey(
        "jobs.InputPicture", on_delete=models.CASCADE, related_name="+", verbose_name=_("input image")
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("uploaded image")
        verbose_name_plural = _("uploaded images")
        constraints = [models.UniqueConstraint(fields=["source", "image"], name="one_upload_per_source")]

    def __str__(self) -> str:
        return self.image_id[:12]
