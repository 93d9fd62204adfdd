"""Errors of resolving a model name."""

from __future__ import annotations


class ModelNotFound(LookupError):
    """No usable file of this kind with this name is visible to the caller. An empty name: there is no default."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name!r} not found" if name else f"no {kind} is available")
        self.kind = kind
        self.name = name


class ModelNotAllowed(ModelNotFound):
    """The file exists, but not for this source. Has the message of ModelNotFound, to not reveal its existence."""


class ModelUnusable(ModelNotFound):
    """The file exists for this source, but has a problem."""

    def __init__(self, kind: str, name: str, problem: str) -> None:
        super().__init__(kind, name)
        self.args = (f"{name}: {problem}",)
