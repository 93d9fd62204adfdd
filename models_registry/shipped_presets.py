"""Style presets and prompt styles that ship with the platform: the styles of the Volcengine API.

They name no model files of their own: without a checkpoint a preset uses the default one, and ControlNets and LoRAs
are those of the registry whose names fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from typing import Any

from models_registry.models import Kind, ModelFile, PromptStyle, StylePreset, StylePresetLora
from models_registry.selectors import identifiers

PASTEL_BOYS = "img2img_pastel_boys_style"
INPAINTING, INPAINTING_EDIT, OUTPAINTING = "i2i_inpainting", "i2i_inpainting_edit", "i2i_outpainting"
TASKS = {
    INPAINTING: StylePreset.Task.INPAINT,
    INPAINTING_EDIT: StylePreset.Task.INPAINT,
    OUTPAINTING: StylePreset.Task.OUTPAINT,
}
# LoRA names of the vendor's documentation, whose weights clients may set.
LORAS = {
    PASTEL_BOYS: ("Colorwater_v4", "Moxin_Shukezouma11", "shanzhagaoSomeSortOf_v1Epoch10"),
    "img2img_real_mix_style": ("Dragon_v1",),
    "img2img_rev_animated_style": ("Dragon_v1",),
}
CONTROL_MODULE = "canny"

# key, variant, title
STYLES = (
    (PASTEL_BOYS, "", "天使风"),
    ("img2img_ghibli_style", "", "网红日漫风"),
    ("img2img_disney_3d_style", "", "3D风"),
    ("img2img_real_mix_style", "", "写实风"),
    ("img2img_cartoon_style", "", "动漫风"),
    ("img2img_makoto_style", "", "日漫风"),
    ("img2img_rev_animated_style", "", "公主风"),
    ("img2img_blueline_style", "", "梦幻风"),
    ("img2img_water_ink_style", "", "水墨风"),
    ("i2i_ai_create_monet", "", "新莫奈花园"),
    ("img2img_water_paint_style", "", "水彩风"),
    ("img2img_comic_style", "", "漫画风"),
    ("img2img_comic_style", "img2img_comic_style_monet", "漫画风 莫奈"),
    ("img2img_comic_style", "img2img_comic_style_marvel", "漫画风 漫威"),
    ("img2img_comic_style", "img2img_comic_style_future", "漫画风 未来"),
    ("img2img_exquisite_style", "", "精致韩漫风"),
    ("img2img_pretty_style", "", "唯美风"),
    ("img2img_pretty_style", "img2img_pretty_style_ink", "唯美风 水墨"),
    ("img2img_pretty_style", "img2img_pretty_style_light", "唯美风 光影"),
    ("img2img_ceramics_style", "", "陶瓷娃娃"),
    ("img2img_chinese_style", "", "中国红"),
    ("img2img_clay_style", "", "黏土风"),
    ("img2img_clay_style", "img2img_clay_style_3d", "黏土风 3D"),
    ("img2img_clay_style", "img2img_clay_style_bubble", "黏土风 气泡"),
    ("img2img_3d_style", "", "3D游戏"),
    ("img2img_3d_style", "img2img_3d_style_era", "3D游戏 时代"),
    ("img2img_3d_style", "img2img_3d_style_movie", "3D游戏 电影"),
    ("img2img_3d_style", "img2img_3d_style_doll", "3D游戏 玩偶"),
    ("img2img_style", "", "图生图"),
    ("img2img_anime", "", "图生图 动漫"),
    ("img2img_anime_accelerated_maintain_id", "", "图生图 动漫 加速"),
    ("i2i_xl_sft", "", "图生图 XL"),
    (INPAINTING, "", "涂抹消除"),
    (INPAINTING_EDIT, "", "涂抹编辑"),
    (OUTPAINTING, "", "智能扩图"),
    ("t2i_xl_sft", "", "文生图 XL"),
    ("t2i_ldm", "", "文生图"),
    ("high_aes_general_v14", "", "通用 1.4"),
    ("high_aes_general_v20", "", "通用 2.0"),
    ("high_aes_general_v20_L", "", "通用 2.0 L"),
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

# Prompt style that stablediffusionapi.com's `enhance_prompt` applies (STABLEDIFFUSIONAPI_ENHANCE_STYLE).
ENHANCE_PROMPT = "{prompt}, highly detailed, sharp focus, best quality"
ENHANCE_NEGATIVE_PROMPT = "{prompt}"

FindModel = Callable[
    [str, str], ModelFile | None
]  # of a style's key and variant, or of a style and a LoRA's name


def install_presets(checkpoint_of: FindModel | None = None, lora_of: FindModel | None = None) -> list[str]:
    """Create the presets that are missing, and return their names. Existing ones are left as they are.

    A preset without a ControlNet for its preprocessor gets one if the registry has it by now: until then its
    requests are drawn without.
    """
    usable = list(ModelFile.objects.usable())
    control = next((file for file in usable if _is_control(file, CONTROL_MODULE)), None)
    created = []
    for key, variant, title in STYLES:
        checkpoint = checkpoint_of(key, variant) if checkpoint_of else None
        preset, is_new = StylePreset.objects.get_or_create(
            key=key, variant=variant, defaults=_defaults(key, title) | {"checkpoint": checkpoint}
        )
        if is_new:
            created.append(str(preset))
            _add_loras(preset, lora_of or (lambda _style, name: find_file(usable, Kind.LORA, name)))
        if control and preset.control_module == CONTROL_MODULE and preset.control_model is None:
            preset.control_model = control
            preset.save(update_fields=["control_model"])
    return created


def install_prompt_style(name: str) -> list[str]:
    """Create the prompt style of `enhance_prompt` unless there is one. Returns its name if it is new."""
    defaults = {"prompt": ENHANCE_PROMPT, "negative_prompt": ENHANCE_NEGATIVE_PROMPT}
    style, is_new = PromptStyle.objects.get_or_create(name=name, defaults=defaults)
    return [style.name] if is_new else []


def missing_loras() -> list[str]:
    """LoRA names of the vendor's documentation that no preset has: their weights are refused."""
    known = set(StylePresetLora.objects.values_list("name", flat=True))
    return sorted({name for names in LORAS.values() for name in names} - known)


def find_file(files: Iterable[ModelFile], kind: str, name: str) -> ModelFile | None:
    """The file of this kind with this name, with or without a suffix."""
    names = {name, str(PurePosixPath(name).with_suffix(""))}
    return next((file for file in files if file.kind == kind and names & set(identifiers(file))), None)


def _is_control(file: ModelFile, module: str) -> bool:
    return file.kind == Kind.CONTROLNET and module in file.path.lower()


def _defaults(key: str, title: str) -> dict[str, Any]:
    task: dict[str, Any] = {"control_module": CONTROL_MODULE, "control_optional": True}
    if key in TASKS:
        task = {"task": TASKS[key]}
    elif key.startswith(TXT2IMG_PREFIXES):
        task = {"task": StylePreset.Task.TXT2IMG}
    return {"title": title, **DEFAULTS, **task, **OVERRIDES.get(key, {})}


def _add_loras(preset: StylePreset, lora_of: FindModel) -> None:
    for name in LORAS.get(preset.key, ()):
        if lora := lora_of(preset.key, name):
            preset.loras.create(name=name, lora=lora)
