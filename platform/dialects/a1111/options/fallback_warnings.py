"""Where the original does something else than was asked, without a word: ``info.warnings`` says so, strict sources refuse it."""

from __future__ import annotations

from dialects.a1111.errors import Invalid, Location, Unprocessable


class FallbackWarnings:
    """Those of one request."""

    def __init__(self) -> None:
        self._found: list[tuple[Location, str]] = []

    def add(self, location: Location, message: str) -> None:
        self._found.append((location, message))

    @property
    def messages(self) -> list[str]:
        return [message for _location, message in self._found]

    def refuse(self) -> None:
        """Raises Unprocessable if there are any."""
        if self._found:
            raise Unprocessable(
                [Invalid(message, "value_error.strict").at(location) for location, message in self._found]
            )
