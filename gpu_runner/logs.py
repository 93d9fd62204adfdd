"""Log lines that carry the job they speak of: for people, or as JSON for machines. No torch, no Django."""

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
# A secret in a query string, and one in an Authorization header, wherever such a text got into a message.
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
    """What is logged inside speaks of this job. Of an order's id, the job's part."""
    token = job.set(str(job_id)[:UUID_LENGTH])
    try:
        yield
    finally:
        job.reset(token)


def without_secrets(text: str) -> str:
    for pattern, instead in SECRETS:
        text = pattern.sub(instead, text)
    return text


class ContextFilter(logging.Filter):
    """Gives every record the job and the request that it belongs to."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.job_id = getattr(record, "job_id", "") or job.get() or NOTHING
        record.request_id = getattr(record, "request_id", "") or request.get() or NOTHING
        return True


class LineFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


class JsonLineFormatter(JsonFormatter):
    def __init__(self, **options: Any) -> None:
        fields = ["levelname", "name", "message", "processName", "job_id", "request_id"]
        names = {"levelname": "level", "name": "logger", "processName": "process"}
        super().__init__(fields, rename_fields=names, timestamp="time", json_ensure_ascii=False, **options)

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        log_data.pop("request", None)  # Django's, whose name has the query string
        return {name: value for name, value in log_data.items() if value != NOTHING}

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


def configuration(log_format: str = "line", level: str = "INFO") -> dict[str, Any]:
    """For logging.config.dictConfig."""
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
        # Of every answer from 400 on, Django would tell the path; the log of requests has told the route.
        "loggers": {"httpx": {"level": "WARNING"}, "django.request": {"level": "ERROR"}},
        "root": {"handlers": ["console"], "level": level},
    }


def configure(log_format: str, level: str) -> None:
    dictConfig(configuration(log_format, level))
