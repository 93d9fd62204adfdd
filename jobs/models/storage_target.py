"""Where ops let clients have their pictures copied to: a channel that a request names, and the storage behind it."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.storage import Storage, storages
from django.core.validators import RegexValidator, URLValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

LOCAL = "targets"  # the storage that is a folder of this host
NOT_A_TARGET = {"default", "staticfiles"}
FOLDER = re.compile(r"[\w.-]+(/[\w.-]+)*")


class Visibility(models.TextChoices):
    PUBLIC = "public", _("public")
    PRIVATE = "private", _("private")


def storage_choices() -> list[tuple[str, str]]:
    return [(alias, alias) for alias in settings.STORAGES if alias not in NOT_A_TARGET]


class StorageTarget(models.Model):
    channel = models.CharField(
        _("channel"),
        max_length=64,
        validators=[RegexValidator(r"^[A-Za-z0-9_.-]+$")],
        help_text=_("What requests call it, as 1202."),
    )
    visibility = models.CharField(_("type"), max_length=8, choices=Visibility, default=Visibility.PUBLIC)
    enabled = models.BooleanField(_("enabled"), default=True)
    storage = models.CharField(
        _("storage"),
        max_length=64,
        default=LOCAL,
        help_text=_("A name in STORAGE_TARGETS, or targets: the folder of that name in DATA_DIR."),
    )
    folder = models.CharField(
        _("folder"), max_length=100, blank=True, help_text=_("In that storage; empty: its root.")
    )
    public_host = models.CharField(
        _("public host"),
        max_length=300,
        blank=True,
        validators=[URLValidator(["http", "https"])],
        help_text=_("Where the storage's root is seen from outside, as https://img.example.com."),
    )
    allowed_sources = models.ManyToManyField(
        "access.BusinessSource",
        blank=True,
        related_name="+",
        verbose_name=_("allowed sources"),
        help_text=_("None: every source."),
    )

    class Meta:
        verbose_name = _("storage target")
        verbose_name_plural = _("storage targets")
        ordering = ["channel", "visibility"]
        constraints = [
            models.UniqueConstraint(fields=["channel", "visibility"], name="one_target_per_channel_and_type")
        ]

    def __str__(self) -> str:
        return f"{self.channel} ({self.visibility})"

    def clean(self) -> None:
        if self.storage not in dict(storage_choices()):
            raise ValidationError({"storage": _("There is no storage of this name.")})
        parts = PurePosixPath(self.folder).parts
        if self.folder and (not FOLDER.fullmatch(self.folder) or {".", ".."} & set(parts)):
            raise ValidationError({"folder": _("Names of folders with slashes between them.")})

    @property
    def is_local(self) -> bool:
        return self.storage == LOCAL

    @property
    def files(self) -> Storage:
        return storages[self.storage]
