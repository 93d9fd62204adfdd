"""Rows of a ComfyUI server that no test needs to reach: its runner, its files and its templates."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from jobs.models import Backend, Runner
from models_registry.models import Kind, ModelFile, WorkflowTemplate

from .comfyui_templates import FLUX_SLOTS, flux
from .template_exports import node

DIFFUSION_MODEL = "qwen-edit"


def edit_graph(references: int = 2) -> dict[str, Any]:
    """FLUX's graph with an encoder that looks at images."""
    graph = flux(node_4={"unet_name": f"{DIFFUSION_MODEL}.safetensors"})
    loaders = {str(30 + number): node("LoadImage", image=f"{number}.png") for number in range(references)}
    inputs = {f"image{number + 1}": [key, 0] for number, key in enumerate(loaders)}
    encoder = node("TextEncodeQwenImageEditPlus", clip=["11", 0], prompt="", **inputs)
    return graph | loaders | {"6": encoder}


def edit_template(references: int = 2, **fields: Any) -> WorkflowTemplate:
    """A template that takes so many references, and a runner whose server can draw it."""
    slots = {f"images[{number}]": f"{30 + number}.image" for number in range(references)}
    graph = edit_graph(references)
    template = WorkflowTemplate.objects.create(
        name="edit",
        graph=graph,
        slots=FLUX_SLOTS | {"prompt": "6.prompt"} | slots,
        **{"without_slot": "ignore"} | fields,
    )
    runner = Runner.objects.create(
        name="comfyui-1",
        url="http://127.0.0.1:9",
        backend=Backend.COMFYUI,
        nodes=sorted({one["class_type"] for one in graph.values()}),
    )
    path = f"diffusion_models/{DIFFUSION_MODEL}.safetensors"
    file = ModelFile.objects.create(
        kind=Kind.DIFFUSION_MODEL, path=path, name=DIFFUSION_MODEL, missing_since=timezone.now()
    )
    runner.own_files.add(file)
    return template
