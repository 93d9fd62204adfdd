"""What commands about sources and keys have in common."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from access.installed_dialects import installed
from access.models import AccessKey, BusinessSource


def source_named(name: str) -> BusinessSource:
    found = BusinessSource.objects.filter(name=name).first()
    if found is None:
        raise CommandError(f"there is no source {name}")
    return found


def key_with(key_id: str) -> AccessKey:
    found = AccessKey.objects.filter(key_id=key_id).select_related("source").defer("secret").first()
    if found is None:
        raise CommandError(f"there is no key {key_id}")
    return found


def check_dialects(names: Iterable[str]) -> None:
    """A key for a dialect that nobody speaks would open no door, and nobody would know why."""
    there_are = installed()
    if unknown := sorted(set(names) - set(there_are)):
        raise CommandError(f"there is no dialect {', '.join(unknown)}; there are {', '.join(there_are)}")


def in_one_line(error: ValidationError) -> str:
    if hasattr(error, "error_dict"):
        return "; ".join(f"{name}: {' '.join(texts)}" for name, texts in error.message_dict.items())
    return "; ".join(error.messages)


def write_rows(command: BaseCommand, rows: Iterable[Mapping[str, Any]], *, as_json: bool) -> None:
    """JSON for programs, else a line a row with its values between tabs."""
    listed = list(rows)
    if as_json:
        command.stdout.write(json.dumps(listed, ensure_ascii=False, indent=1, default=str))
        return
    for row in listed:
        command.stdout.write("\t".join("" if value is None else str(value) for value in row.values()))
