"""What this dialect keeps: the options that each key has set."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class KeyOptions(models.Model):
    """The options that differ from their defaults. One set for each key, so that no caller changes another's pictures."""

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
