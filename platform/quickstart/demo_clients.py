"""Demo data for the example requests in the docs of the dialects: model aliases and a storage target."""

from __future__ import annotations

from jobs.models.storage_target import StorageTarget
from models_registry.models import Kind, ModelFile

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
}
CHANNEL = "1202"


def prepare(base_url: str) -> None:
    """Create what is missing. What was changed since the first start is kept, also several targets of the channel."""
    for (kind, name), aliases in ALIASES.items():
        ModelFile.objects.filter(kind=kind, name=name, aliases=[]).update(aliases=aliases)
    if not StorageTarget.objects.filter(channel=CHANNEL).exists():
        StorageTarget.objects.create(channel=CHANNEL, folder="demo", public_host=f"{base_url}/targets")
