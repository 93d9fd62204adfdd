"""Versions of this package and of the libraries that compute images. No torch."""

from __future__ import annotations

from functools import cache
from importlib import metadata

LIBRARIES = (
    "torch",
    "diffusers",
    "transformers",
    "numpy",
    "onnxruntime",
    "opencv-python-headless",
    "pillow",
    "spandrel",
)


def own_version() -> str:
    return _version("atelier") or "source"  # a checkout that is not installed


@cache
def library_versions() -> dict[str, str]:
    """Versions of the installed ones among LIBRARIES."""
    return {name: version for name in LIBRARIES if (version := _version(name))}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
