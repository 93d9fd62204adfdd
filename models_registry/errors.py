"""Why a name in a request stands for no model."""

from __future__ import annotations


class ModelNotFound(LookupError):
    """No usable file of this kind has this name, as far as the caller may know."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name!r} not found" if name else f"no {kind} is available")
        self.kind = kind
        self.name = name


class ModelNotAllowed(ModelNotFound):
    """It exists, for others. It has the same words as ModelNotFound: a caller must not learn what others have."""
