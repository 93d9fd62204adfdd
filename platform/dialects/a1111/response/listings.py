"""Listing routes: models, samplers, scripts and others. Unsupported kinds return empty lists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import psutil
from rest_framework.request import Request
from rest_framework.response import Response

from access.models import AccessKey
from dialects.a1111.authentication import DIALECT
from dialects.a1111.base import A1111View
from dialects.a1111.options.command_flags import FLAGS
from dialects.a1111.options.options import current
from dialects.a1111.request.faces import face_restorers
from dialects.a1111.request.sd_upscale import SD_UPSCALE
from gpu_runner.protocol.catalogs.upscalers import BUILT_IN, LATENT_MODES
from models_registry.errors import ModelNotFound
from models_registry.models import Family, Kind, ModelFile
from models_registry.selectors import list_for, resolve, styles_for, with_problem

from .samplers import samplers, schedulers

Reader = Callable[[AccessKey], Any]


class Listing(A1111View):
    """View of one list in READABLE."""

    read: Reader = staticmethod(lambda key: None)

    def get(self, request: Request) -> Response:
        return Response(self.read(self.key))


class Refresh(A1111View):
    """No-op: lists are read from the registry on each request, and only operators start a disk scan."""

    def post(self, request: Request) -> Response:
        return Response(None)


def sd_models(key: AccessKey) -> list[dict[str, Any]]:
    return [_checkpoint(file) for file in list_for(Kind.CHECKPOINT, key.source, dialect=DIALECT)]


def _checkpoint(file: ModelFile) -> dict[str, Any]:
    return {
        "title": file.title,
        "model_name": str(PurePosixPath(file.path_in_kind).with_suffix("")).replace("/", "_"),
        "hash": file.short_hash or None,
        "sha256": file.sha256 or None,
        "filename": file.path,  # relative to the model root; the absolute path is not disclosed
        "config": None,
    }


def vaes(key: AccessKey) -> list[dict[str, Any]]:
    files = list_for(Kind.VAE, key.source, dialect=DIALECT)
    return [{"model_name": PurePosixPath(file.path).name, "filename": file.path} for file in files]


def loras(key: AccessKey) -> list[dict[str, Any]]:
    return [
        {
            "name": file.name,
            "alias": file.metadata.get("ss_output_name") or file.name,
            "path": file.path,
            "metadata": file.metadata,
        }
        for file in list_for(Kind.LORA, key.source, dialect=DIALECT)
    ]


def embeddings(key: AccessKey) -> dict[str, dict[str, Any]]:
    """Embeddings. Skipped are those that cannot be read, and those of another family than the key's checkpoint."""
    family = _family(key)
    usable = {file.name: file for file in list_for(Kind.EMBEDDING, key.source, dialect=DIALECT)}
    fitting = {name for name, file in usable.items() if file.family in (Family.UNKNOWN, family) or not family}
    others = [file for file in usable.values() if file.name not in fitting]
    return {
        "loaded": {name: _embedding(file) for name, file in usable.items() if name in fitting},
        "skipped": {
            file.name: _embedding(file) for file in [*others, *with_problem(Kind.EMBEDDING, key.source)]
        },
    }


def _family(key: AccessKey) -> str:
    """Family of the key's checkpoint; empty if it has none, or an unknown one."""
    try:
        family = resolve(
            Kind.CHECKPOINT, str(current(key)["sd_model_checkpoint"] or ""), key.source, dialect=DIALECT
        ).family
    except ModelNotFound:
        return ""
    return "" if family == Family.UNKNOWN else family


def _embedding(file: ModelFile) -> dict[str, Any]:
    return {
        "step": None,
        "sd_checkpoint": None,
        "sd_checkpoint_name": None,
        "shape": int(file.metadata.get("atelier.width", 0)),
        "vectors": int(file.metadata.get("atelier.vectors", 0)),
    }


def prompt_styles(key: AccessKey) -> list[dict[str, Any]]:
    return [
        {"name": style.name, "prompt": style.prompt or None, "negative_prompt": style.negative_prompt or None}
        for style in styles_for(key.source)
    ]


def memory(key: AccessKey) -> dict[str, Any]:
    """Memory of this web process. GPU memory is not reported, because runners are separate processes."""
    used, total = psutil.Process().memory_info().rss, psutil.virtual_memory().total
    ram = {"free": total - used, "used": used, "total": total}
    return {"ram": ram, "cuda": {"error": "unavailable"}}


def upscalers(key: AccessKey) -> list[dict[str, Any]]:
    """Upscalers. ``None`` must be the first entry, because a client replaces the entry at that position."""
    files = sorted(list_for(Kind.UPSCALER, key.source, dialect=DIALECT), key=lambda file: file.name.lower())
    built_in = [_upscaler(name, None) for name in BUILT_IN]
    return built_in + [_upscaler(file.name, file) for file in files]


def _upscaler(name: str, file: ModelFile | None) -> dict[str, Any]:
    return {
        "name": name,
        "model_name": file and PurePosixPath(file.path).stem,
        "model_path": file and file.path,
        "model_url": None,
        "scale": 4.0,  # the original's value for upscalers whose files do not contain a scale
    }


# Clients detect ControlNet by the script "controlnet m2m", which cannot be selected, and ADetailer by its own name.
ALWAYS_ON = ("adetailer", "controlnet")
SCRIPTS = [*ALWAYS_ON, "controlnet m2m"]
IMG2IMG_SCRIPTS = [*SCRIPTS, SD_UPSCALE]


def _script(name: str, is_img2img: bool) -> dict[str, Any]:
    return {"name": name, "is_alwayson": name in ALWAYS_ON, "is_img2img": is_img2img, "args": []}


READABLE: dict[str, Reader] = {
    "sd-models": sd_models,
    "samplers": lambda key: samplers(),
    "schedulers": lambda key: schedulers(),
    "cmd-flags": lambda key: FLAGS,
    "upscalers": upscalers,
    "latent-upscale-modes": lambda key: [{"name": mode.name} for mode in LATENT_MODES],
    "sd-vae": vaes,
    "hypernetworks": lambda key: [],
    "face-restorers": face_restorers,
    "realesrgan-models": lambda key: [],
    "prompt-styles": prompt_styles,
    "embeddings": embeddings,
    "loras": loras,
    "scripts": lambda key: {"txt2img": SCRIPTS, "img2img": IMG2IMG_SCRIPTS},
    "script-info": lambda key: [
        _script(name, is_img2img)
        for is_img2img, names in ((False, SCRIPTS), (True, IMG2IMG_SCRIPTS))
        for name in names
    ],
    "extensions": lambda key: [],
    "memory": memory,
}

REFRESHABLE = ("refresh-checkpoints", "refresh-vae", "refresh-loras", "refresh-embeddings")


class Ping(A1111View):
    def get(self, request: Request) -> Response:
        return Response({})
