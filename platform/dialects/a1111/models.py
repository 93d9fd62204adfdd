"""Database model of the options set by each access key."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class KeyOptions(models.Model):
    """Options of one access key that differ from the defaults.

    Stored per key, so that callers cannot change the images of other callers.
    """

    key = models.OneToOneField(
        "access.AccessKey",
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="a1111_options",
        verbose_name=_("access key"),
    )
    values = models.JSONField(_("values"), default=dict, blank=True)

    class Meta:
        verbose_name = _("A1111 options of a key")
        verbose_name_plural = _("A1111 options of keys")

    def __str__(self) -> str:
        return str(self.key)
