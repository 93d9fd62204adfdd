"""Demo data of a first start: the demo models, a business source with a key, and an admin user."""

from __future__ import annotations

import filecmp
import json
import os
import secrets
import shutil
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command

from access.models import AccessKey, BusinessSource
from models_registry.models import Kind, ModelFile

SOURCE = "demo"
# Networks without a key and the fallback for ComfyUI are for the example request of the SMZDM API.
NEW_SOURCE = {"title": "Demo", "keyless_networks": ["127.0.0.0/8", "::1/128"], "comfyui_by_pipeline": True}
DEFAULT_CHECKPOINT = "atelier-shapes"
ADMIN = "admin"
SHIPPED_SUFFIXES = (".safetensors", ".csv", ".onnx")  # tag tables before the taggers that need them


def copy_demo_models() -> None:
    """Copy the demo models to MODELS_ROOT and register them. The first checkpoint of all becomes the default."""
    shipped = settings.BASE_DIR / "demo" / "models"
    for file in (file for suffix in SHIPPED_SUFFIXES for file in shipped.rglob(f"*{suffix}")):
        target = settings.MODELS_ROOT / file.relative_to(shipped)
        if not target.exists() or not filecmp.cmp(file, target, shallow=False):
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_suffix(".part")
            shutil.copyfile(file, part)
            part.replace(target)
    checkpoints = ModelFile.objects.filter(kind=Kind.CHECKPOINT)
    known = checkpoints.exists()
    call_command("scan_models", verbosity=0)
    default = checkpoints.filter(name=DEFAULT_CHECKPOINT).first()
    if default is not None and not known:
        default.become_default()


def is_first_start() -> bool:
    """Whether the demo was never prepared completely: later starts leave alone what operators changed or deleted."""
    return not (settings.DATA_DIR / "demo.json").exists()


def credentials(base_url: str) -> dict[str, str]:
    """Contents of demo.json: credentials of an earlier start if they still work, otherwise new ones."""
    path = settings.DATA_DIR / "demo.json"
    known = _read(path)
    key = AccessKey.objects.filter(key_id=known.get("key_id", "")).select_related("source").first()
    if key is None or "secret" not in known:
        source, _created = BusinessSource.objects.get_or_create(name=SOURCE, defaults=NEW_SOURCE)
        key, known["secret"] = AccessKey.issue(source, note="make run")
        known["key_id"] = key.key_id
    users = get_user_model()
    admin = users.objects.filter(username=ADMIN).first()
    if "admin_password" not in known or not (admin or users.objects.filter(is_superuser=True).exists()):
        known["admin_password"] = secrets.token_urlsafe(12)
        admin = admin or users(username=ADMIN, is_staff=True, is_superuser=True)
        admin.set_password(known["admin_password"])
        admin.save()
    known.update(base_url=base_url, source=key.source.name, admin_user=ADMIN)
    _write_private(path, json.dumps(known, indent=2))
    return known


def _read(path: Path) -> dict[str, str]:
    """Contents of an earlier demo.json; empty if it is missing or damaged."""
    try:
        known = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _write_private(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    part.replace(path)
