"""Response header with a warning, for APIs whose bodies have no place for one."""

from __future__ import annotations

WARNING_HEADER = "X-Atelier-Warning"


def warning_headers(warning: str) -> dict[str, str]:
    """The header; none for an empty warning."""
    return {WARNING_HEADER: warning} if warning else {}
