"""An example call that is independent of programming languages: submit, wait, save an image."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Path = tuple[str | int, ...]  # of a value in a JSON document
TASK = "{id}"  # stands for the id of a task, in paths
KEY_ID_VARIABLE, SECRET_VARIABLE = "KEY_ID", "SECRET"  # environment variables that the examples read


class Credentials:
    """Stands for <key id>:<secret> in a body. No text of a request can be taken for it."""


CREDENTIALS = Credentials()


class Scheme(StrEnum):
    """How a call is authenticated."""

    BASIC = "basic"
    BEARER = "bearer"
    BODY = "body"  # by CREDENTIALS in the body
    HEADERS = "headers"  # key id and secret in two headers
    SIGNED = "signed"  # Volcengine's signature, version 4


class Form(StrEnum):
    """What the response has instead of an image."""

    BASE64 = "base64"
    URL = "url"
    PATH = "path"  # of this API, with the id of the task; needs the credentials


@dataclass(frozen=True)
class Wait:
    """Query of a task until its state is none of ``pending``.

    ``id_at``: where the response to the submission has the id; None if the client has chosen it.
    """

    state_at: Path
    pending: tuple[str, ...]
    path: str
    body: dict[str, Any] | None = None  # None: GET
    id_at: Path | None = None
    starts_with_query: bool = False  # the response to the submission does not have the state


@dataclass(frozen=True)
class Result:
    """Where the response has the first image."""

    form: Form
    at: Path = ()
    path: str = ""  # of Form.PATH
    file: str = "image.png"


@dataclass(frozen=True)
class Call:
    """A request. ``path`` may have a query; ``body`` is sent as JSON.

    Without a key id, the programs read it from the environment, as the secret. Without a result, they print the response.
    """

    base_url: str
    key_id: str
    path: str
    body: dict[str, Any]
    scheme: Scheme
    result: Result | None = None
    wait: Wait | None = None
    header_names: tuple[str, str] = ("", "")  # of Scheme.HEADERS

    @property
    def polls_by_get(self) -> bool:
        return self.wait is not None and self.wait.body is None


def last_name(path: Path) -> str:
    """The last name of a path, by which programs without a JSON parser find the value."""
    return next(part for part in reversed(path) if isinstance(part, str))
