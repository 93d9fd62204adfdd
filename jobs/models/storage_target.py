"""Storage targets: storages to which output images are copied, selected by channel in a request."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.storage import Storage, storages
from django.core.validators import RegexValidator, URLValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

LOCAL = "targets"  # alias of the storage in a local folder
NOT_A_TARGET = {"default", "staticfiles"}
FOLDER = re.compile(r"[\w.-]+(/[\w.-]+)*")


class Visibility(models.TextChoices):
    PUBLIC = "public", _("public")
    PRIVATE = "private", _("private")


def storage_choices() -> list[tuple[str, str]]:
    return [(alias, alias) for alias in settings.STORAGES if alias not in NOT_A_TARGET]


class StorageTarget(models.Model):
    """A storage and folder for copies of output images, identified by channel and visibility."""

    channel = models.CharField(
        _("channel"),
        max_length=64,
        validators=[RegexValidator(r"^[A-Za-z0-9_.-]+$")],
        help_text=_("Identifies the target in requests, for example 1202."),
    )
    visibility = models.CharField(_("type"), max_length=8, choices=Visibility, default=Visibility.PUBLIC)
    enabled = models.BooleanField(_("enabled"), default=True)
    storage = models.CharField(
        _("storage"),
        max_length=64,
        default=LOCAL,
        help_text=_("A name from STORAGE_TARGETS, or “targets” for the folder of that name in DATA_DIR."),
    )
    folder = models.CharField(
        _("folder"), max_length=100, blank=True, help_text=_("Folder in the storage. Empty: its root.")
    )
    public_host = models.CharField(
        _("public host"),
        max_length=300,
        blank=True,
        validators=[URLValidator(["http", "https"])],
        help_text=_("Public URL of the storage's root, for example https://img.example.com."),
    )
    allowed_sources = models.ManyToManyField(
        "access.BusinessSource",
        blank=True,
        related_name="+",
        verbose_name=_("allowed sources"),
        help_text=_("Sources that may use the target. None selected: all sources."),
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
            names = ", ".join(dict(storage_choices()))
            message = _("Unknown storage %(name)s. Configured: %(names)s.")
            raise ValidationError({"storage": message % {"name": self.storage, "names": names}})
        parts = PurePosixPath(self.folder).parts
        if self.folder and (not FOLDER.fullmatch(self.folder) or {".", ".."} & set(parts)):
            raise ValidationError(
                {"folder": _("Must be a relative path such as shop/2026, without . and .. components.")}
            )

    @property
    def is_local(self) -> bool:
        return self.storage == LOCAL

    @property
    def files(self) -> Storage:
        return storages[self.storage]
