"""LoRAs for diffusion transformers: the family, from the modules that they change and the sizes of those. No torch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from gpu_runner.protocol.families.registry import DRAWN, FAMILIES
from gpu_runner.protocol.model_detection.storage.tensor_header import Shape
from gpu_runner.protocol.model_detection.transformers.lora_names import lora_families, lora_targets

from .descriptions import TransformerDescription

Shapes = Mapping[str, Shape]
DECLARATIONS = ("ss_base_model_version", "modelspec.architecture")
DECLARED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"chroma"), "chroma"),
    (re.compile(r"flux-?_?2|klein"), "flux2"),
    (re.compile(r"flux"), "flux1"),
    (re.compile(r"z-?_?image"), "z_image"),
    (re.compile(r"qwen"), "qwen_image"),
    (re.compile(r"sd3|stable-diffusion-v?3"), "sd3"),
)
# Outputs of a module per input, where families that have the module differ.
GROWTH: Mapping[str, Mapping[int, str]] = {
    "single_blocks_": {7: "flux1", 9: "flux2"},
    "img_mlp_0": {4: "flux1", 6: "flux2"},
    "txt_mlp_0": {4: "flux1", 6: "flux2"},
}
MAX_MODULES = 5000  # looked at; the largest networks have a fifth of it
UP = ("lora_up.weight", "lora_B.weight", "lora_B.default.weight", "lora.up.weight")
DOWN = ("lora_down.weight", "lora_A.weight", "lora_A.default.weight", "lora.down.weight")


def describe_transformer_lora(
    paths: Sequence[str], shapes: Shapes, metadata: Mapping[str, str]
) -> TransformerDescription | None:
    """``paths``: modules that no UNet has. None if no family has them either."""
    paths = paths[:MAX_MODULES]
    families = lora_families(paths)
    if not families:
        return None
    family = _declared(metadata, families) or _by_size(paths, shapes, families) or families[0]
    if family == "chroma" and "flux1" in families and _declared(metadata, families) != "chroma":
        family = "flux1"  # Chroma was made from FLUX.1; LoRAs that do not name it are for the original
    known = [path for path in paths if lora_targets(family, path, 0)]
    others = tuple(path for path in paths if path not in set(known))
    detail = {"modules": len(known), "left_out": others, "families": families}
    return TransformerDescription(family, detail, _problem(family))


def _problem(family: str) -> str:
    label = FAMILIES[family].label
    if family not in DRAWN:
        return f"it is a LoRA for {label}, which is not drawn here yet"
    if not FAMILIES[family].allows("lora"):
        return f"it is a LoRA for {label}, to which LoRAs are not applied here yet"
    return ""


def _declared(metadata: Mapping[str, str], families: Sequence[str]) -> str:
    for key in DECLARATIONS:
        text = metadata.get(key, "").lower()
        for pattern, family in DECLARED:
            if family in families and pattern.search(text):
                return family
    return ""


def _by_size(paths: Sequence[str], shapes: Shapes, families: Sequence[str]) -> str:
    for path in paths:
        flat = path.replace(".", "_")
        for part, growth in GROWTH.items():
            fits = flat.endswith("_linear1") if part == "single_blocks_" else flat.endswith(part)
            family = growth.get(_growth(path, shapes), "") if part in flat and fits else ""
            if family in families:
                return family
    return ""


def _growth(path: str, shapes: Shapes) -> int:
    """Outputs of a changed module per input; 0 if the tensors do not tell."""
    up = next((shapes[f"{path}.{name}"] for name in UP if f"{path}.{name}" in shapes), ())
    down = next((shapes[f"{path}.{name}"] for name in DOWN if f"{path}.{name}" in shapes), ())
    if len(up) != 2 or len(down) != 2 or not down[1] or up[0] % down[1]:
        return 0
    return up[0] // down[1]
