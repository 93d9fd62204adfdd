"""Style presets of the demo: the shipped ones, with the demo models."""

from __future__ import annotations

from models_registry.models import Kind, ModelFile
from models_registry.shipped_presets import PASTEL_BOYS, install_presets

SHAPES, PASTEL, NIGHT = "atelier-shapes", "atelier-pastel", "atelier-night"
# Styles, by key and variant, that the demo draws with the pastel checkpoint.
PASTEL_STYLES = {
    (PASTEL_BOYS, ""),
    ("img2img_ghibli_style", ""),
    ("img2img_makoto_style", ""),
    ("img2img_rev_animated_style", ""),
    ("img2img_blueline_style", ""),
    ("i2i_ai_create_monet", ""),
    ("img2img_water_paint_style", ""),
    ("img2img_comic_style", "img2img_comic_style_monet"),
    ("img2img_exquisite_style", ""),
    ("img2img_pretty_style", ""),
    ("img2img_pretty_style", "img2img_pretty_style_light"),
    ("img2img_ceramics_style", ""),
    ("img2img_clay_style", "img2img_clay_style_bubble"),
    ("img2img_3d_style", "img2img_3d_style_doll"),
    ("img2img_anime", ""),
    ("img2img_anime_accelerated_maintain_id", ""),
}


def make_styles() -> None:
    """Create missing presets; one LoRA file stands for all of the vendor's. Changed presets are kept."""
    files = {(file.kind, file.name): file for file in ModelFile.objects.usable()}
    checkpoints = {name: files.get((Kind.CHECKPOINT, name)) for name in (SHAPES, PASTEL)}
    night = files.get((Kind.LORA, NIGHT))
    install_presets(
        checkpoint_of=lambda *style: checkpoints[PASTEL if style in PASTEL_STYLES else SHAPES],
        lora_of=lambda _style, _name: night,
    )
