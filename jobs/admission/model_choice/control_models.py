"""What a ControlNet of a diffusion transformer needs of its unit: the kind of its image, or a mask."""

from __future__ import annotations

from django.utils.translation import gettext as _

from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.catalogs.control_types import MODES, mode
from gpu_runner.protocol.catalogs.preprocessors import Module
from gpu_runner.protocol.families.registry import FAMILIES
from gpu_runner.protocol.request_parts.control import ControlUnit
from jobs.errors import Unsupported
from models_registry.family_facts import family_facts
from models_registry.models import CONTROL_MASK, CONTROL_MODES, ModelFile

FIELD = "controls"


def must_get_what_it_reads(file: ModelFile, unit: ControlUnit, module: Module) -> None:
    """Raise Unsupported if a union is not told what the image is, or if the preprocessor and the ControlNet differ about a
    mask.
    """
    if file.family not in FAMILIES or FAMILIES[file.family].flow is None:
        return
    words = {"name": unit.model, "module": module.name}
    modes, mask = int(file.metadata.get(CONTROL_MODES) or 0), str(file.metadata.get(CONTROL_MASK, ""))
    if modes and mode(unit.control_type, module.name, modes) is None:
        allowed = ", ".join(name for name, number in MODES.items() if number < modes)
        message = _("%(name)s is a union ControlNet: control_type must say what the image is (%(allowed)s).")
        raise Unsupported(message % {**words, "allowed": allowed}, field=FIELD)
    has_mask = "inpaint" in module.name
    if mask == "needed" and not has_mask:
        message = _("%(name)s reads the area to repaint: it needs the preprocessor inpaint_only.")
        raise Unsupported(message % words, field=FIELD)
    if has_mask and not mask:
        message = _("%(name)s reads no mask: it cannot be used with the preprocessor %(module)s.")
        raise Unsupported(message % words, field=FIELD)


def must_have_control_image(checkpoint: ModelFile, request: GenerationRequest) -> None:
    """Raise Unsupported if FLUX.1 Canny or Depth gets no edge or depth map. The hires pass takes that of a unit only."""
    family = family_facts(checkpoint)
    if family is None or not family.allows("control_image") or not request.denoises:
        return
    words = {"name": checkpoint.name, "family": family.label}
    if any(not unit.model for unit in request.controls):
        return
    if not request.init_images:
        message = _(
            "%(name)s is %(family)s: it needs an edge or depth map, as a control unit without a model or as init image."
        )
        raise Unsupported(message % words, field=FIELD)
    if request.hires is not None:
        message = _(
            "%(name)s is %(family)s: with hires fix, it needs its map as a control unit without a model."
        )
        raise Unsupported(message % words, field=FIELD)
