"""Demo data for the example requests in the docs of the dialects: model aliases, storage target, keyless access."""

from __future__ import annotations

from access.models import BusinessSource
from jobs.models.storage_target import StorageTarget
from models_registry.models import Kind, ModelFile

from .demo_data import SOURCE

# Names of model files in the example requests, as aliases of the demo models.
ALIASES: dict[tuple[Kind, str], list[str]] = {
    (Kind.CHECKPOINT, "atelier-shapes"): [
        "majicmixRealistic_v7.safetensors",
        "revAnimated_v122_7371.safetensors",
    ],
    (Kind.CHECKPOINT, "atelier-pastel"): ["epicphotogasm_ultimateFidelity.safetensors"],
    (Kind.LORA, "atelier-night"): [
        "simple_bg_0811-006400.safetensors",
        "simple_bg_0911-004000.safetensors",
    ],
    (Kind.CONTROLNET, "atelier-canny"): ["control_v11p_sd15_lineart.pth", "control_v1p_sd15_brightness"],
    (Kind.VAE, "atelier-sepia"): ["vae-ft-mse-840000-ema-pruned.vae.pt"],
}
CHANNEL = "1202"
LOOPBACK = ["127.0.0.0/8", "::1/128"]


def prepare(base_url: str) -> None:
    """Create what is missing. Values that were changed since the first start are kept."""
    for (kind, name), aliases in ALIASES.items():
        ModelFile.objects.filter(kind=kind, name=name, aliases=[]).update(aliases=aliases)
    location = {"folder": "demo", "public_host": f"{base_url}/targets"}
    _target, is_first_start = StorageTarget.objects.get_or_create(channel=CHANNEL, defaults=location)
    if is_first_start:
        fields = {"keyless_networks": LOOPBACK, "comfyui_by_pipeline": True}
        BusinessSource.objects.filter(name=SOURCE).update(**fields)
