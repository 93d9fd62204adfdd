"""Warnings for requests that the original silently handles differently than requested.

They are returned in ``info.warnings``; for strict sources, the request is refused instead.
"""

from __future__ import annotations

from dialects.a1111.errors import Invalid, Location, Unprocessable


class FallbackWarnings:
    """Fallback warnings of one request."""

    def __init__(self) -> None:
        self._found: list[tuple[Location, str]] = []

    def add(self, location: Location, message: str) -> None:
        self._found.append((location, message))

    @property
    def messages(self) -> list[str]:
        return [message for _location, message in self._found]

    def refuse(self) -> None:
        """Raise Unprocessable if there are any warnings."""
        if self._found:
            raise Unprocessable(
                [Invalid(message, "value_error.strict").at(location) for location, message in self._found]
            )
