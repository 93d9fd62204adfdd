"""``manage.py set_limits shop images_per_day=1000 total_budget=``: sets limits of a source, or of a key by its id."""

from __future__ import annotations

import json
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Field, JSONField

from access.management.lookup import check_dialects, in_one_line, key_with, source_named
from access.models import AccessKey, BusinessSource
from access.source_settings.limits import KeyLimits, SourceLimits

Holder = BusinessSource | AccessKey


class Command(BaseCommand):
    help = "Change limits of a source or a key and print all of them. An empty value removes a limit."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("holder", help="name of a source, or id of a key")
        parser.add_argument(
            "limits", nargs="*", metavar="NAME=VALUE", help="lists are comma-separated: dialects=native,a1111"
        )

    def handle(self, *args: Any, holder: str, limits: list[str], **options: Any) -> None:
        owner: Holder = key_with(holder) if holder.startswith("ak-") else source_named(holder)
        fields = {field.name: field for field in _limits_of(owner)}
        changes = [limit.partition("=")[::2] for limit in limits]
        for name, text in changes:
            if name not in fields:
                raise CommandError(f"unknown limit: {name} (known: {', '.join(fields)})")
            try:
                setattr(owner, name, _read(fields[name], text))
            except ValidationError as error:
                raise CommandError(f"{name}: {in_one_line(error)}") from error
        check_dialects(owner.dialects)
        try:
            owner.full_clean(exclude={field.name for field in owner._meta.fields} - fields.keys())
        except ValidationError as error:
            raise CommandError(in_one_line(error)) from error
        if changes:
            owner.save(update_fields=[name for name, _text in changes])
        values = {name: getattr(owner, name) for name in fields}
        self.stdout.write(json.dumps(values, ensure_ascii=False, indent=1, default=str))


def _limits_of(owner: Holder) -> list[Field[Any, Any]]:
    limits = SourceLimits if isinstance(owner, BusinessSource) else KeyLimits
    names = {field.name for field in limits._meta.fields}
    return [field for field in owner._meta.fields if field.name in names]


def _read(field: Field[Any, Any], text: str) -> Any:
    if isinstance(field, JSONField):
        return [part.strip() for part in text.split(",") if part.strip()]
    return field.formfield().clean(text)  # type: ignore[union-attr]
