"""``manage.py create_key shop --note "web"``: creates an access key and prints its secret once."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from access.management.lookup import check_dialects, in_one_line, printed_key, source_named
from access.models import AccessKey

MAX_DAYS = 36_500


class Command(BaseCommand):
    help = "Create an access key for a source. Its secret is printed only once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source")
        parser.add_argument("--note", default="")
        parser.add_argument("--dialect", action="append", default=[], help="may be repeated; default: all")
        parser.add_argument("--network", action="append", default=[], help="10.0.0.0/8; may be repeated")
        parser.add_argument(
            "--manage-models", action="store_true", help="may load model files from URLs and disable them"
        )
        parser.add_argument("--days", type=int, help="days until it expires; default: never")

    def handle(self, *args: Any, source: str, note: str, days: int | None, **options: Any) -> None:
        owner = source_named(source)
        if days is not None and not 1 <= days <= MAX_DAYS:
            raise CommandError(f"--days must be from 1 to {MAX_DAYS} (got {days})")
        expires_at = timezone.now() + timedelta(days=days) if days else None
        limits = {"dialects": options["dialect"], "networks": options["network"], "expires_at": expires_at}
        check_dialects(options["dialect"])
        try:
            manages_models = options["manage_models"]
            key, secret = AccessKey.issue(owner, note=note, manages_models=manages_models, **limits)
        except ValidationError as error:
            raise CommandError(in_one_line(error)) from error
        self.stdout.write(json.dumps(printed_key(key, secret)))
