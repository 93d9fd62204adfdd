"""Reference of the HTTP APIs: endpoints, fields, errors and example calls of each dialect, for a source and its key.

Dialects register a builder when their app is ready; the console shows what it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from django.utils.functional import Promise

from access.models import AccessKey, BusinessSource

from .examples.call import Call

Text = str | Promise
NATIVE = "native"


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

    @property
    def key_id(self) -> str:
        return self.key.key_id if self.key else "ak-..."


Build = Callable[[Context], Reference]

_builders: dict[str, Build] = {}
_model_names: dict[str, Mapping[str, str]] = {}


def register(dialect: str, build: Build, model_names: Mapping[str, str] | None = None) -> None:
    """``model_names``: how a request names a model file, by its kind; ``{name}`` stands for the name."""
    _builders[dialect] = build
    _model_names[dialect] = model_names or {}


def dialects() -> list[str]:
    """Dialects with a reference, the native API first."""
    return sorted(_builders, key=lambda name: (name != NATIVE, name))


def build(dialect: str, context: Context) -> Reference:
    """The reference of a dialect. Raises KeyError for an unknown one."""
    return _builders[dialect](context)


def model_names(kind: str, name: str) -> dict[str, str]:
    """How requests of each dialect name a model file; dialects that cannot name this kind are left out."""
    forms = {dialect: _model_names[dialect].get(kind, "") for dialect in dialects()}
    return {dialect: form.replace("{name}", name) for dialect, form in forms.items() if form}
