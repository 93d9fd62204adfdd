"""VAE and text encoders of checkpoints that do not contain them: which files fit, and which are chosen."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gpu_runner.protocol.families.family import Family, TextPart
from models_registry.family_facts import family_facts
from models_registry.models import (
    CONTEXT_WIDTH,
    ENCODER,
    ENCODERS,
    FAMILIES,
    VISION,
    WIDTH,
    WITHOUT_TEXT,
    Checkpoint,
    Kind,
    ModelFile,
)

# Names under which the files are published, by kind of text encoder and by the latents of a VAE. They only decide between
# several files that fit: tensors say what a file is.
NAMES: dict[str, re.Pattern[str]] = {
    "clip_l": re.compile(r"clip[-_]?l"),
    "clip_g": re.compile(r"clip[-_]?g"),
    "t5_xxl": re.compile(r"t5[-_]?(v1[-_]?1[-_]?)?xxl"),
    "qwen3_4b": re.compile(r"qwen[-_]?3[-_]?4b"),
    "qwen2_5_vl_7b": re.compile(r"qwen[-_]?2[._]5[-_]?vl[-_]?7b"),
    "flux": re.compile(r"^ae\b|^ae[-_.]|flux|z[-_]?image"),
    "flux2": re.compile(r"flux[-_]?2"),
    "sd3": re.compile(r"sd3|stable-diffusion-3"),
    "qwen_image": re.compile(r"qwen"),
}


def separate_parts(checkpoint: ModelFile) -> tuple[TextPart, ...]:
    """Text encoders of its family that a checkpoint does not contain."""
    facts = family_facts(checkpoint)
    if facts is None or not takes_text_encoders(checkpoint, facts):
        return ()
    contained = str(checkpoint.metadata.get(ENCODERS, "")).split()
    return tuple(part for part in facts.text if part.kind not in contained)


def takes_text_encoders(checkpoint: ModelFile, facts: Family) -> bool:
    """Whether its text encoders may be files of their own: of diffusion models, for a UNet alone only."""
    return facts.flow is not None or bool(checkpoint.metadata.get(WITHOUT_TEXT))


def encoder_fits(checkpoint: ModelFile, file: ModelFile) -> bool:
    """Whether the family reads this kind of text encoder, and the checkpoint states of its width.

    A model that edits by instruction needs one that reads images.
    """
    facts = family_facts(checkpoint)
    part = (
        next((part for part in facts.text if part.kind == file.metadata.get(ENCODER)), None)
        if facts
        else None
    )
    if facts is None or part is None or not takes_text_encoders(checkpoint, facts):
        return False
    if part.edits and not file.metadata.get(VISION):
        return False
    width = str(checkpoint.metadata.get(CONTEXT_WIDTH, ""))
    if part.kind.startswith("clip") or not width.isdecimal():
        return True  # the states of CLIP are padded, or only pooled
    return str(int(width) // part.stacked) == file.metadata.get(WIDTH)


def chosen_encoder(checkpoint: ModelFile, part: TextPart, files: Iterable[ModelFile]) -> ModelFile | None:
    """The file for a text encoder: a default, else one with the usual name, else the oldest that fits."""
    fitting = [
        file for file in files if file.metadata.get(ENCODER) == part.kind and encoder_fits(checkpoint, file)
    ]
    return _preferred(fitting, part.kind)


def vae_fits(checkpoint: ModelFile, file: ModelFile) -> bool:
    return checkpoint.family in str(file.metadata.get(FAMILIES, "sd15 sd2 sdxl")).split()


def chosen_vae(facts: Family, files: Iterable[ModelFile]) -> ModelFile | None:
    """The VAE of a flow-matching family: a default, else the only one that fits, else the only one with the usual name.

    VAEs of two families may have the same tensors with other values, so that age does not decide.
    """
    fitting = [file for file in files if facts.name in str(file.metadata.get(FAMILIES, "")).split()]
    named = [file for file in fitting if NAMES[facts.latents.vae].search(file.name.lower())]
    for group in ([file for file in fitting if file.is_default], fitting, named):
        if len(group) == 1:
            return group[0]
    return None


def fill_parts() -> None:
    """Choose VAE and text encoders of checkpoints that contain none, where no operator has.

    A choice stays while its file can be used.
    """
    usable = ModelFile.objects.usable()
    vaes = list(usable.filter(kind=Kind.VAE).order_by("created_at", "pk"))
    encoders = list(usable.filter(kind=Kind.TEXT_ENCODER).order_by("created_at", "pk"))
    known = {file.pk for file in (*vaes, *encoders)}
    for checkpoint in Checkpoint.objects.usable().prefetch_related("text_encoder_files"):
        facts = family_facts(checkpoint)
        if facts is None or not takes_text_encoders(checkpoint, facts):
            continue
        is_open = "vae_file" not in checkpoint.edited_fields and checkpoint.without_vae
        if facts.flow is not None and is_open and checkpoint.vae_file_id not in known:
            checkpoint.vae_file = chosen_vae(facts, vaes)
            checkpoint.save(update_fields=["vae_file"])
        if "text_encoder_files" not in checkpoint.edited_fields:
            _fill_encoders(checkpoint, encoders)


def _fill_encoders(checkpoint: ModelFile, encoders: list[ModelFile]) -> None:
    usable = {file.pk for file in encoders}
    kept = {
        file.metadata.get(ENCODER): file
        for file in checkpoint.text_encoder_files.all()
        if file.pk in usable and encoder_fits(checkpoint, file)
    }
    for part in separate_parts(checkpoint):
        found = kept.get(part.kind) or chosen_encoder(checkpoint, part, encoders)
        if found is not None:
            kept[part.kind] = found
    checkpoint.text_encoder_files.set(kept.values())


def _preferred(files: list[ModelFile], kind: str) -> ModelFile | None:
    """``files``: oldest first."""
    usual = [file for file in files if NAMES[kind].search(file.name.lower())]
    return next(iter([*(file for file in files if file.is_default), *usual, *files]), None)
