"""Reference of an HTTP API: endpoints, fields, errors and an example call, for a source and its key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.functional import Promise

from access.models import AccessKey, BusinessSource
from gpu_runner.protocol import InputImage
from jobs.images.signed_urls import input_url

from .examples.call import Call

Text = str | Promise


@dataclass(frozen=True)
class FieldRow:
    """A field of a request. ``name`` of a nested field is a path: ``loras[].weight``."""

    name: str
    type: str
    required: bool = False
    default: str = ""  # as JSON; empty: none
    allowed: str = ""  # limits or choices
    meaning: Text = ""


@dataclass(frozen=True)
class FieldTable:
    title: Text
    rows: Sequence[FieldRow]


@dataclass(frozen=True)
class Endpoint:
    method: str
    path: str
    summary: Text


@dataclass(frozen=True)
class ErrorRow:
    """An error of a dialect. ``status`` is the HTTP status; ``code`` what the body says."""

    status: int
    code: str
    meaning: Text


@dataclass(frozen=True)
class Link:
    title: Text
    path: str


@dataclass(frozen=True)
class Reference:
    """The page of a dialect."""

    title: Text
    summary: Text
    authentication: Text
    endpoints: Sequence[Endpoint]
    tables: Sequence[FieldTable]
    errors: Sequence[ErrorRow]
    call: Call
    links: Sequence[Link] = ()


@dataclass(frozen=True)
class Context:
    """For whom a reference is built. Names in the examples are those that the source may use."""

    source: BusinessSource
    key: AccessKey | None
    base_url: str
    checkpoint: str  # name of a checkpoint; "shapes" if the source has none
    image_url: str  # of an image of the source, which its next request may use
    style: str = ""  # key of a style preset without images; empty if the source has none

    def url_of(self, image: InputImage) -> str:
        """URL of an input image of the source. It expires."""
        return input_url(image.sha256, self.base_url)

    @property
    def key_id(self) -> str:
        return self.key.key_id if self.key else "ak-..."
