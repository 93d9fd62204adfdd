"""Everything that ships for the example requests of the dialects: presets, prompt style, storage target, aliases.

Creates what is missing and changes nothing that exists, so that it can be run at any time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from django.conf import settings

from jobs.models.storage_target import StorageTarget
from models_registry.models import Kind, ModelFile
from models_registry.shipped_presets import find_file, install_presets, install_prompt_style, missing_loras

CHANNEL = "1202"  # storage target of the SMZDM API's examples
# Names of model files in the examples, and the part of a name by which a ControlNet stands in.
CHECKPOINTS = (
    "majicmixRealistic_v7.safetensors",
    "epicphotogasm_ultimateFidelity.safetensors",
    "revAnimated_v122_7371.safetensors",
)
CONTROLNETS = {"control_v11p_sd15_lineart.pth": "lineart", "control_v1p_sd15_brightness": "brightness"}
LORAS = ("simple_bg_0811-006400.safetensors", "simple_bg_0911-004000.safetensors")


@dataclass
class Installed:
    """What was created, and which files of the examples the registry lacks."""

    presets: list[str] = field(default_factory=list)
    prompt_styles: list[str] = field(default_factory=list)
    storage_targets: list[str] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)  # name in the examples -> name of the file
    missing: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(map(len, (self.presets, self.prompt_styles, self.storage_targets, self.aliases)))


def install() -> Installed:
    """Create what is missing, and return it."""
    aliases, missing = _install_aliases()
    return Installed(
        presets=install_presets(),
        prompt_styles=install_prompt_style(settings.STABLEDIFFUSIONAPI_ENHANCE_STYLE),
        storage_targets=_install_target(),
        aliases=aliases,
        missing=[*missing, *missing_loras()],
    )


def _install_target() -> list[str]:
    if StorageTarget.objects.filter(channel=CHANNEL).exists():
        return []
    host = f"{settings.PUBLIC_URL.rstrip('/')}/targets" if settings.PUBLIC_URL else ""
    return [str(StorageTarget.objects.create(channel=CHANNEL, folder=CHANNEL, public_host=host))]


def _install_aliases() -> tuple[dict[str, str], list[str]]:
    """Aliases of the default checkpoint, and of ControlNets of the same type; and names without a file.

    A LoRA changes the image in its own way, so no other file stands in for it.
    """
    files = list(ModelFile.objects.usable().order_by("-is_default", "created_at", "pk"))
    checkpoint = next((file for file in files if file.kind == Kind.CHECKPOINT), None)
    wanted = [(Kind.CHECKPOINT, name, checkpoint) for name in CHECKPOINTS]
    wanted += [(Kind.CONTROLNET, name, _controlnet(files, part)) for name, part in CONTROLNETS.items()]
    wanted += [(Kind.LORA, name, None) for name in LORAS]
    aliases, missing = {}, []
    for kind, name, file in wanted:
        if find_file(files, kind, name):
            continue
        if file is None:
            missing.append(name)
            continue
        file.aliases = [*file.aliases, name]
        file.save(update_fields=["aliases"])
        aliases[name] = file.name
    return aliases, missing


def _controlnet(files: list[ModelFile], part: str) -> ModelFile | None:
    return next((file for file in files if file.kind == Kind.CONTROLNET and part in file.path.lower()), None)
