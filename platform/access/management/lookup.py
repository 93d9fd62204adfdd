"""Helpers of the management commands for sources and keys."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from access.installed_dialects import installed
from access.keys.bearer_tokens import opaque_token
from access.models import AccessKey, BusinessSource


def source_named(name: str) -> BusinessSource:
    """The source. Raises CommandError if there is none."""
    source = BusinessSource.objects.filter(name=name).first()
    if source is None:
        raise CommandError(f"source not found: {name}")
    return source


def key_with(key_id: str) -> AccessKey:
    """The key. Raises CommandError if there is none."""
    key = AccessKey.objects.filter(key_id=key_id).select_related("source").defer("secret").first()
    if key is None:
        raise CommandError(f"access key not found: {key_id}")
    return key


def printed_key(key: AccessKey, secret: str) -> dict[str, str]:
    """Id and secret of a new key, and both as one bearer token unless requests need a session token as well."""
    printed = {"key_id": key.key_id, "secret": secret}
    return printed if key.session_token else {**printed, "token": opaque_token(key.key_id, secret)}


def check_dialects(names: Iterable[str]) -> None:
    """Raise CommandError for names that are not installed dialects."""
    known = installed()
    if unknown := sorted(set(names) - set(known)):
        raise CommandError(f"unknown dialect: {', '.join(unknown)} (installed: {', '.join(known)})")


def in_one_line(error: ValidationError) -> str:
    """The messages of the error, with field names, separated by semicolons."""
    if hasattr(error, "error_dict"):
        return "; ".join(f"{name}: {' '.join(texts)}" for name, texts in error.message_dict.items())
    return "; ".join(error.messages)


def write_rows(command: BaseCommand, rows: Iterable[Mapping[str, Any]], *, as_json: bool) -> None:
    """Write rows as JSON, or as one line per row with tab-separated values."""
    listed = list(rows)
    if as_json:
        command.stdout.write(json.dumps(listed, ensure_ascii=False, indent=1, default=str))
        return
    for row in listed:
        command.stdout.write("\t".join("" if value is None else str(value) for value in row.values()))
