"""Logging configuration: plain or JSON lines with job and request ids, and redaction of secrets. No torch, no Django."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from logging.config import dictConfig
from typing import Any

from pythonjsonlogger.json import JsonFormatter

FORMATS = ("line", "json")
LINE = "%(asctime)s %(levelname)s %(name)s [%(job_id)s] %(message)s"
NOTHING = "-"
UUID_LENGTH = 36
# Secrets in query strings and in Authorization headers.
SECRETS = (
    (
        re.compile(r"(?<=[?&])([a-z_-]*(?:key|secret|token|password|signature)=)[^&\s\"'\\]+", re.IGNORECASE),
        r"\1…",
    ),
    (re.compile(r"\b(Basic|Bearer) +[A-Za-z0-9+/=._~-]{8,}"), r"\1 …"),
)

job: ContextVar[str] = ContextVar("job", default="")
request: ContextVar[str] = ContextVar("request", default="")


@contextmanager
def about(job_id: object) -> Iterator[None]:
    """Add the job's id to all log records inside the block. Only the UUID at the start of ``job_id`` is used."""
    token = job.set(str(job_id)[:UUID_LENGTH])
    try:
        yield
    finally:
        job.reset(token)


def without_secrets(text: str) -> str:
    """Redact secrets."""
    for pattern, replacement in SECRETS:
        text = pattern.sub(replacement, text)
    return text


class ContextFilter(logging.Filter):
    """Adds ``job_id`` and ``request_id`` to every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.job_id = getattr(record, "job_id", "") or job.get() or NOTHING
        record.request_id = getattr(record, "request_id", "") or request.get() or NOTHING
        return True


class LineFormatter(logging.Formatter):
    """Plain text lines."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


class JsonLineFormatter(JsonFormatter):
    """One JSON object per line."""

    def __init__(self, **options: Any) -> None:
        fields = ["levelname", "name", "message", "processName", "job_id", "request_id"]
        names = {"levelname": "level", "name": "logger", "processName": "process"}
        super().__init__(fields, rename_fields=names, timestamp="time", json_ensure_ascii=False, **options)

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        log_data.pop("request", None)  # set by Django; its representation contains the query string
        return {name: value for name, value in log_data.items() if value != NOTHING}

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


def configuration(log_format: str = "line", level: str = "INFO") -> dict[str, Any]:
    """Return the configuration for ``logging.config.dictConfig``. ``log_format`` is "line" or "json"."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"context": {"()": "gpu_runner.logs.ContextFilter"}},
        "formatters": {
            "line": {"()": "gpu_runner.logs.LineFormatter", "format": LINE},
            "json": {"()": "gpu_runner.logs.JsonLineFormatter"},
        },
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "stream": sys.stderr,
                "formatter": log_format if log_format in FORMATS else "line",
                "filters": ["context"],
            }
        },
        # Django logs the path of every response from 400 on; the request log already has its route.
        "loggers": {"httpx": {"level": "WARNING"}, "django.request": {"level": "ERROR"}},
        "root": {"handlers": ["console"], "level": level},
    }


def configure(log_format: str, level: str) -> None:
    """Configure the root logger."""
    dictConfig(configuration(log_format, level))
