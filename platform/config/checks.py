"""System checks that run before the platform starts. Each error has an id and a hint how to fix it."""

from __future__ import annotations

import importlib.util
import os
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage, default_storage
from django.utils.translation import gettext as _

from access.source_settings.image_labels import (
    MAX_HEIGHT,
    MIN_HEIGHT,
    MIN_OPACITY,
    Corner,
    says_generated_by_ai,
)


@register
def secrets_are_set(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    problems: list[CheckMessage] = []
    if not _secret_key():
        hint = _("Set it to a long random string and keep it: sessions and stored secrets depend on it.")
        problems.append(Error(_("SECRET_KEY is not set."), hint=hint, id="atelier.E001"))
    if not settings.RUNNER_TOKEN:
        hint = _("Set it to a long random string, the same for the platform and its runners.")
        problems.append(Error(_("RUNNER_TOKEN is not set."), hint=hint, id="atelier.E002"))
    return problems


def _secret_key() -> str:
    try:
        return settings.SECRET_KEY
    except ImproperlyConfigured:  # raised by Django if it is empty
        return ""


@register
def debug_is_for_the_demo(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if not settings.DEBUG or settings.DEMO:
        return []
    hint = _("Unset DEBUG: its error pages show settings and source code to every client.")
    return [Error(_("DEBUG is on outside demo mode."), hint=hint, id="atelier.E003")]


@register
def ca_file_is_readable(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if not settings.OUTBOUND_CA_FILE:
        return []
    try:
        ssl.create_default_context(cafile=settings.OUTBOUND_CA_FILE)
    except OSError as error:  # ssl.SSLError is one
        hint = _("It must be a PEM file with one or more CA certificates; see docs/outside.md.")
        message = _("OUTBOUND_CA_FILE cannot be read: %s") % error
        return [Error(message, hint=hint, id="atelier.E008")]
    return []


@register
def text_model_is_complete(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    return list(_text_model_problems())


def _text_model_problems() -> Iterator[CheckMessage]:
    url = settings.TEXT_MODEL_URL
    others = ("TEXT_MODEL_KEY", "TEXT_MODEL_NAME", "TEXT_MODEL_VISION")
    if named := [name for name in others if getattr(settings, name) and not url]:
        hint = _("Set TEXT_MODEL_URL to the base URL of the API, or unset them. See docs/text-model.md.")
        message = _("%(names)s is set without TEXT_MODEL_URL.") % {"names": ", ".join(named)}
        yield Error(message, hint=hint, id="atelier.E009")
    if url and not _is_http_url(url):
        hint = _("It must be a base URL such as http://127.0.0.1:8000/v1, without user name and password.")
        yield Error(_("TEXT_MODEL_URL is not a valid URL."), hint=hint, id="atelier.E010")
    if url and not (settings.TEXT_MODEL_NAME or settings.TEXT_MODEL_VISION):
        hint = _("Set it to the name of the model, as in the API's list of models.")
        yield Error(_("TEXT_MODEL_URL is set without TEXT_MODEL_NAME."), hint=hint, id="atelier.E011")
    if not isinstance(settings.TEXT_MODEL_OPTIONS, dict):
        hint = _('It must be a JSON object such as {"enable_thinking": false}.')
        yield Error(_("TEXT_MODEL_OPTIONS is not an object."), hint=hint, id="atelier.E012")
    if settings.TEXT_MODEL_TIMEOUT_S <= 0:
        hint = _("It must be a number of seconds above 0.")
        yield Error(_("TEXT_MODEL_TIMEOUT_S is not positive."), hint=hint, id="atelier.E013")


def _is_http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return False


@register
def queue_is_consistent(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    return list(_queue_problems(settings.Q_CLUSTER))


def _queue_problems(queue: dict[str, Any]) -> Iterator[CheckMessage]:
    clusters = {queue["name"]: queue, **{name: queue | alt for name, alt in queue["ALT_CLUSTERS"].items()}}
    for name, cluster in clusters.items():
        if cluster["retry"] <= cluster["timeout"]:
            hint = _("Otherwise a task that is still running is executed a second time.")
            message = _("The retry of the cluster %(name)s must be longer than its timeout.")
            yield Error(message % {"name": name}, hint=hint, id="atelier.E004")
    if clusters["generation"]["timeout"] <= settings.JOB_TIMEOUT_S:
        hint = _("Otherwise the cluster kills workers whose jobs are still within their time limit.")
        message = _("The timeout of the generation cluster must be longer than JOB_TIMEOUT_S.")
        yield Error(message, hint=hint, id="atelier.E005")
    if queue.get("orm") != "default":
        hint = _("A job and its tasks must be written in one transaction.")
        yield Error(_("The queue must be in the default database."), hint=hint, id="atelier.E006")


@register
def storage_is_writable(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    # Only folders are checked: other storages would have to be written to.
    if not isinstance(default_storage, FileSystemStorage):
        return []
    folder = Path(default_storage.location)
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return []
    hint = _("Images are stored there. Fix its permissions, or set DATA_DIR or STORAGE_OPTIONS.")
    return [Error(_("Cannot write to %(folder)s.") % {"folder": folder}, hint=hint, id="atelier.E007")]


SIX_MONTHS = 184  # days


@register
def labels_are_lawful(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Settings of the labels of generated images are those that the law allows (docs/labels.md)."""
    hint = _("See docs/labels.md.")
    problems = {
        "LABEL_TEXT": says_generated_by_ai(settings.LABEL_TEXT),
        "LABEL_CORNER": settings.LABEL_CORNER in Corner.values,
        "LABEL_HEIGHT": MIN_HEIGHT <= settings.LABEL_HEIGHT <= MAX_HEIGHT,
        "LABEL_OPACITY": MIN_OPACITY <= settings.LABEL_OPACITY <= 1,
        "UNLABELED_LOG_DAYS": settings.UNLABELED_LOG_DAYS >= SIX_MONTHS,
    }
    return [
        Error(_("%s has a value that is not allowed.") % name, hint=hint, id="atelier.E030")
        for name, is_allowed in problems.items()
        if not is_allowed
    ]


@register
def c2pa_can_sign(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    files = {"C2PA_CERTIFICATE": settings.C2PA_CERTIFICATE, "C2PA_KEY": settings.C2PA_KEY}
    if not any(files.values()):
        return []
    hint = _("See docs/labels.md.")
    problems = [name for name, path in files.items() if not path or not os.access(path, os.R_OK)]
    errors: list[CheckMessage] = [
        Error(_("%s is not a readable file.") % name, hint=hint, id="atelier.E031") for name in problems
    ]
    if importlib.util.find_spec("c2pa") is None:
        errors.append(Error(_("C2PA manifests need the package c2pa-python."), hint=hint, id="atelier.E032"))
    return errors
