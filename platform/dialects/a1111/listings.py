"""What clients ask for before they draw. Lists of things that this platform does not have yet are empty."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import psutil
from rest_framework.request import Request
from rest_framework.response import Response

from access.models import AccessKey
from models_registry.models import Kind, ModelFile
from models_registry.selectors import list_for

from .base import WireView
from .samplers import samplers, schedulers

Answer = Callable[[AccessKey], Any]


class Listing(WireView):
    """One of READABLE."""

    answer: Answer = staticmethod(lambda key: None)

    def get(self, request: Request) -> Response:
        return Response(self.answer(self.key))


class Refresh(WireView):
    """Every list is read afresh from the registry, and only ops decide when the disk is scanned."""

    def post(self, request: Request) -> Response:
        return Response(None)


def sd_models(key: AccessKey) -> list[dict[str, Any]]:
    return [_checkpoint(file) for file in list_for(Kind.CHECKPOINT, key.source)]


def _checkpoint(file: ModelFile) -> dict[str, Any]:
    return {
        "title": file.title,
        "model_name": str(PurePosixPath(file.path_in_kind).with_suffix("")).replace("/", "_"),
        "hash": file.short_hash or None,
        "sha256": file.sha256 or None,
        "filename": file.path,  # below the models' root: where that is on the disk is nobody's business
        "config": None,
    }


def memory(key: AccessKey) -> dict[str, Any]:
    """Of this web process. The GPUs are other machines' or other processes' matter."""
    used, total = psutil.Process().memory_info().rss, psutil.virtual_memory().total
    ram = {"free": total - used, "used": used, "total": total}
    return {"ram": ram, "cuda": {"error": "unavailable"}}


NO_UPSCALER = {"name": "None", "model_name": None, "model_path": None, "model_url": None, "scale": 4.0}

READABLE: dict[str, Answer] = {
    "sd-models": sd_models,
    "samplers": lambda key: samplers(),
    "schedulers": lambda key: schedulers(),
    "cmd-flags": lambda key: {"api": True, "api_auth": None, "nowebui": True},
    "upscalers": lambda key: [NO_UPSCALER],
    "latent-upscale-modes": lambda key: [],
    "sd-vae": lambda key: [],
    "hypernetworks": lambda key: [],
    "face-restorers": lambda key: [],
    "realesrgan-models": lambda key: [],
    "prompt-styles": lambda key: [],
    "embeddings": lambda key: {"loaded": {}, "skipped": {}},
    "loras": lambda key: [],
    "scripts": lambda key: {"txt2img": [], "img2img": []},
    "script-info": lambda key: [],
    "extensions": lambda key: [],
    "memory": memory,
}

REFRESHABLE = ("refresh-checkpoints", "refresh-vae", "refresh-loras", "refresh-embeddings")


class Ping(WireView):
    def get(self, request: Request) -> Response:
        return Response({})
