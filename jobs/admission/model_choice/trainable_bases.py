"""Which checkpoints LoRAs can be trained on."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from jobs.errors import Refused, Unsupported
from models_registry.family_facts import family_facts
from models_registry.models import CONTEXT_WIDTH, INPAINTING, WITHOUT_TEXT, Family, ModelFile

UNETS = (Family.SD15, Family.SD2, Family.SDXL)
# Their VAEs may be files of their own, which admission finds; their text encoders are not trained.
TRANSFORMERS = (Family.SD3, Family.Z_IMAGE)
REFINER_CONTEXT_WIDTH = "1280"
WEIGHTS_SUFFIXES = (".safetensors", ".ckpt", ".pt")


def untrainable(checkpoint: ModelFile) -> Iterator[Refused]:
    """Yield the reason why no LoRA can be trained on a checkpoint."""
    words = {"name": checkpoint.name, "family": checkpoint.get_family_display()}
    if checkpoint.family not in (*UNETS, *TRANSFORMERS):
        message = _("%(name)s cannot be trained: its family is not supported (%(family)s).")
    elif checkpoint.metadata.get(WITHOUT_TEXT):
        message = _("%(name)s cannot be trained: the file has no text encoder.")
    elif checkpoint.without_vae and checkpoint.family not in TRANSFORMERS:
        message = _("%(name)s cannot be trained: the file has no VAE.")
    elif checkpoint.instruct or checkpoint.metadata.get(INPAINTING) or _reads_control_image(checkpoint):
        message = _("%(name)s cannot be trained: it is made for editing images.")
    elif str(checkpoint.metadata.get(CONTEXT_WIDTH)) == REFINER_CONTEXT_WIDTH:
        message = _("%(name)s cannot be trained: it is a refiner.")
    elif not checkpoint.path.lower().endswith(WEIGHTS_SUFFIXES):
        message = _("%(name)s cannot be trained: its weights are quantized.")
    else:
        return
    yield Unsupported(message % words, field="checkpoint")


def _reads_control_image(checkpoint: ModelFile) -> bool:
    family = family_facts(checkpoint)
    return family is not None and family.allows("control_image")
