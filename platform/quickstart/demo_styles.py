"""Style presets of the demo: all styles of the Volcengine API, implemented with the demo models."""

from __future__ import annotations

from typing import Any

from models_registry.models import Kind, ModelFile, StylePreset

SHAPES, PASTEL, NIGHT, CANNY = "atelier-shapes", "atelier-pastel", "atelier-night", "atelier-canny"
PASTEL_BOYS = "img2img_pastel_boys_style"
INPAINTING, INPAINTING_EDIT, OUTPAINTING = "i2i_inpainting", "i2i_inpainting_edit", "i2i_outpainting"
TASKS = {
    INPAINTING: StylePreset.Task.INPAINT,
    INPAINTING_EDIT: StylePreset.Task.INPAINT,
    OUTPAINTING: StylePreset.Task.OUTPAINT,
}
# LoRA names whose weights clients may set; the demo uses the same LoRA file for all of them.
LORAS = {
    PASTEL_BOYS: ("Colorwater_v4", "Moxin_Shukezouma11", "shanzhagaoSomeSortOf_v1Epoch10"),
    "img2img_real_mix_style": ("Dragon_v1",),
    "img2img_rev_animated_style": ("Dragon_v1",),
}

# key, variant, title, checkpoint
STYLES = (
    (PASTEL_BOYS, "", "天使风", PASTEL),
    ("img2img_ghibli_style", "", "网红日漫风", PASTEL),
    ("img2img_disney_3d_style", "", "3D风", SHAPES),
    ("img2img_real_mix_style", "", "写实风", SHAPES),
    ("img2img_cartoon_style", "", "动漫风", SHAPES),
    ("img2img_makoto_style", "", "日漫风", PASTEL),
    ("img2img_rev_animated_style", "", "公主风", PASTEL),
    ("img2img_blueline_style", "", "梦幻风", PASTEL),
    ("img2img_water_ink_style", "", "水墨风", SHAPES),
    ("i2i_ai_create_monet", "", "新莫奈花园", PASTEL),
    ("img2img_water_paint_style", "", "水彩风", PASTEL),
    ("img2img_comic_style", "", "漫画风", SHAPES),
    ("img2img_comic_style", "img2img_comic_style_monet", "漫画风 莫奈", PASTEL),
    ("img2img_comic_style", "img2img_comic_style_marvel", "漫画风 漫威", SHAPES),
    ("img2img_comic_style", "img2img_comic_style_future", "漫画风 未来", SHAPES),
    ("img2img_exquisite_style", "", "精致韩漫风", PASTEL),
    ("img2img_pretty_style", "", "唯美风", PASTEL),
    ("img2img_pretty_style", "img2img_pretty_style_ink", "唯美风 水墨", SHAPES),
    ("img2img_pretty_style", "img2img_pretty_style_light", "唯美风 光影", PASTEL),
    ("img2img_ceramics_style", "", "陶瓷娃娃", PASTEL),
    ("img2img_chinese_style", "", "中国红", SHAPES),
    ("img2img_clay_style", "", "黏土风", SHAPES),
    ("img2img_clay_style", "img2img_clay_style_3d", "黏土风 3D", SHAPES),
    ("img2img_clay_style", "img2img_clay_style_bubble", "黏土风 气泡", PASTEL),
    ("img2img_3d_style", "", "3D游戏", SHAPES),
    ("img2img_3d_style", "img2img_3d_style_era", "3D游戏 时代", SHAPES),
    ("img2img_3d_style", "img2img_3d_style_movie", "3D游戏 电影", SHAPES),
    ("img2img_3d_style", "img2img_3d_style_doll", "3D游戏 玩偶", PASTEL),
    ("img2img_style", "", "图生图", SHAPES),
    ("img2img_anime", "", "图生图 动漫", PASTEL),
    ("img2img_anime_accelerated_maintain_id", "", "图生图 动漫 加速", PASTEL),
    ("i2i_xl_sft", "", "图生图 XL", SHAPES),
    (INPAINTING, "", "涂抹消除", SHAPES),
    (INPAINTING_EDIT, "", "涂抹编辑", SHAPES),
    (OUTPAINTING, "", "智能扩图", SHAPES),
    ("t2i_xl_sft", "", "文生图 XL", SHAPES),
    ("t2i_ldm", "", "文生图", SHAPES),
    ("high_aes_general_v14", "", "通用 1.4", SHAPES),
    ("high_aes_general_v20", "", "通用 2.0", SHAPES),
    ("high_aes_general_v20_L", "", "通用 2.0 L", SHAPES),
)
TXT2IMG_PREFIXES = ("t2i_", "high_aes_")
# Values of the vendor's example requests that differ from DEFAULTS.
OVERRIDES: dict[str, dict[str, Any]] = {
    PASTEL_BOYS: {"prompt_required": True, "guidance_scale": 8, "strength": 0.6, "keep_texture": True},
    "img2img_water_ink_style": {"long_side": 832},
    "img2img_rev_animated_style": {"strength": 0.8},
    "img2img_style": {"strength": 0.5},
    "img2img_anime": {"strength": 0.9},
    INPAINTING: {"steps": 30, "strength": 0.8},
    INPAINTING_EDIT: {"steps": 25, "guidance_scale": 5, "strength": 1.0},
    OUTPAINTING: {"steps": 30, "strength": 0.8},
    "t2i_xl_sft": {"width": 1024, "height": 1024},
    "high_aes_general_v14": {"guidance_scale": 3, "steps": 25},
    "high_aes_general_v20": {"guidance_scale": 3.5, "steps": 16},
    "high_aes_general_v20_L": {"guidance_scale": 3.5, "steps": 16},
}
DEFAULTS = {"steps": 20, "guidance_scale": 7, "strength": 0.6, "long_side": 704}


def make_styles() -> None:
    """Create missing presets. Changed ones are kept, except that a ControlNet is set if it became available later."""
    files = {(file.kind, file.name): file for file in ModelFile.objects.usable()}
    canny = files.get((Kind.CONTROLNET, CANNY))
    for key, variant, title, checkpoint in STYLES:
        preset, is_new = StylePreset.objects.get_or_create(
            key=key,
            variant=variant,
            defaults=_defaults(key, title) | {"checkpoint": files.get((Kind.CHECKPOINT, checkpoint))},
        )
        if is_new:
            _add_loras(preset, files.get((Kind.LORA, NIGHT)))
        if canny and preset.control_module and preset.control_model is None:
            preset.control_model = canny
            preset.save(update_fields=["control_model"])


def _defaults(key: str, title: str) -> dict[str, Any]:
    task: dict[str, Any] = {"control_module": "canny", "control_optional": True}
    if key in TASKS:
        task = {"task": TASKS[key]}
    elif key.startswith(TXT2IMG_PREFIXES):
        task = {"task": StylePreset.Task.TXT2IMG}
    return {"title": title, **DEFAULTS, **task, **OVERRIDES.get(key, {})}


def _add_loras(preset: StylePreset, night: ModelFile | None) -> None:
    if night is not None:
        for name in LORAS.get(preset.key, ()):
            preset.loras.create(name=name, lora=night)
