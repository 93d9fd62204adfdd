"""What a model file is and who made it: fields that its card shows. A scan fills them, operators may edit them."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

MAX_TAGS, MAX_TAG = 32, 60


class CommercialUse(models.TextChoices):
    YES = "yes", _("permitted")
    NO = "no", _("not permitted")
    UNKNOWN = "unknown", _("unknown")


class ModelCard(models.Model):
    """Description, origin and license of a model file."""

    description = models.TextField(_("description"), blank=True, max_length=10_000)
    author = models.CharField(_("author"), max_length=200, blank=True)
    base = models.CharField(
        _("base"), max_length=200, blank=True, help_text=_("The model that this one was trained from.")
    )
    tags = models.JSONField(_("tags"), default=list, blank=True)
    licence = models.CharField(_("license"), max_length=200, blank=True)
    commercial_use = models.CharField(
        _("commercial use"),
        max_length=8,
        choices=CommercialUse,
        default=CommercialUse.UNKNOWN,
        help_text=_(
            "Sources may be restricted to files whose commercial use is permitted. A scan sets it for well-known licenses."
        ),
    )
    version_of = models.CharField(
        _("version of"),
        max_length=200,
        blank=True,
        db_index=True,
        help_text=_("Files with the same text here are shown as versions of one model."),
    )
    trigger_words = models.CharField(_("trigger words"), max_length=500, blank=True)

    class Meta:
        abstract = True

    def clean(self) -> None:
        super().clean()
        if not is_tag_list(self.tags):
            words = {"count": MAX_TAGS, "length": MAX_TAG}
            raise ValidationError(
                {"tags": _("Must be at most %(count)d words of at most %(length)d characters.") % words}
            )


def is_tag_list(value: object) -> bool:
    """Whether this can be stored as the tags of a file."""
    if not isinstance(value, list) or len(value) > MAX_TAGS:
        return False
    return all(isinstance(tag, str) and 0 < len(tag) <= MAX_TAG for tag in value)
