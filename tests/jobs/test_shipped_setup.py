"""``install_presets``: what an installation needs for the example requests of the dialects."""

import json
from io import StringIO

import pytest
from django.core.management import call_command

from dialects.volcengine.actions import LATER_STYLES, STYLES
from jobs import shipped_setup
from jobs.models.storage_target import StorageTarget, Visibility
from models_registry.models import Family, Kind, ModelFile, PromptStyle, StylePreset
from models_registry.selectors import preset_for, resolve

pytestmark = pytest.mark.django_db
LINEART, BRIGHTNESS = "control_v11p_sd15_lineart.pth", "control_v1p_sd15_brightness"


def model(kind: Kind, path: str, **fields) -> ModelFile:
    name = path.rpartition("/")[2].rpartition(".")[0]
    given = {"family": Family.SD15, "name": name, "sha256": path, **fields}
    return ModelFile.objects.create(kind=kind, path=path, **given)


def rows() -> list[list[dict]]:
    models = (StylePreset, PromptStyle, StorageTarget, ModelFile)
    return [list(model.objects.order_by("pk").values()) for model in models]


def test_every_style_of_volcengine_is_available_on_an_empty_installation(source):
    installed = shipped_setup.install()
    for key in filter(None, {*STYLES.values(), *LATER_STYLES.values()}):
        preset = preset_for(key, "", source)
        assert preset is not None, key
        preset.full_clean()
    assert len(installed.presets) == StylePreset.objects.count() > 30
    assert set(installed.missing) >= {*shipped_setup.CHECKPOINTS, *shipped_setup.LORAS, "Colorwater_v4"}


def test_names_of_the_examples_find_the_files_of_the_installation(source):
    model(Kind.CHECKPOINT, "checkpoints/other.safetensors")
    model(Kind.CHECKPOINT, "checkpoints/house.safetensors", is_default=True)
    model(Kind.CONTROLNET, "controlnet/sd15_lineart_fp16.safetensors")
    installed = shipped_setup.install()
    for name in shipped_setup.CHECKPOINTS:
        assert resolve(Kind.CHECKPOINT, name, source).name == "house"
    assert resolve(Kind.CONTROLNET, LINEART, source).name == "sd15_lineart_fp16"
    assert (installed.aliases[LINEART], BRIGHTNESS in installed.missing) == ("sd15_lineart_fp16", True)


def test_file_of_an_example_is_not_replaced_by_an_alias(source):
    model(Kind.CHECKPOINT, "checkpoints/house.safetensors", is_default=True)
    model(Kind.CHECKPOINT, "checkpoints/majicmixRealistic_v7.safetensors")
    model(Kind.CONTROLNET, f"controlnet/{LINEART}")
    installed = shipped_setup.install()
    assert not {"majicmixRealistic_v7.safetensors", LINEART} & installed.aliases.keys()
    name = "majicmixRealistic_v7.safetensors"
    assert resolve(Kind.CHECKPOINT, name, source).name == "majicmixRealistic_v7"


def test_second_run_creates_and_changes_nothing():
    model(Kind.CHECKPOINT, "checkpoints/house.safetensors")
    assert shipped_setup.install().count > 30
    before = rows()
    again = shipped_setup.install()
    assert (again.count, rows()) == (0, before)


def test_changes_of_operators_are_left_alone():
    model(Kind.CHECKPOINT, "checkpoints/house.safetensors")
    shipped_setup.install()
    StylePreset.objects.update(steps=7, enabled=False, prompt="mine", control_module="")
    PromptStyle.objects.update(prompt="mine")
    StorageTarget.objects.update(visibility=Visibility.PRIVATE, folder="mine", enabled=False)
    before = rows()
    shipped_setup.install()
    assert rows() == before


def test_preset_gets_the_loras_and_the_controlnet_of_the_registry():
    model(Kind.LORA, "loras/Colorwater_v4.safetensors")
    shipped_setup.install()
    preset = StylePreset.objects.get(key="img2img_pastel_boys_style")
    assert [lora.name for lora in preset.loras.all()] == ["Colorwater_v4"]
    canny = model(Kind.CONTROLNET, "controlnet/control_v11p_sd15_canny.pth")
    shipped_setup.install()
    preset.refresh_from_db()
    assert preset.control_model == canny


def test_enhance_prompt_has_a_style(settings):
    shipped_setup.install()
    style = PromptStyle.objects.get(name=settings.STABLEDIFFUSIONAPI_ENHANCE_STYLE)
    prompt, negative = style.apply("a cat", "blurry")
    assert (prompt.startswith("a cat, "), negative) == (True, "blurry")


def test_command_prints_what_was_created_and_what_is_missing():
    output = StringIO()
    call_command("install_presets", stdout=output)
    printed = json.loads(output.getvalue())
    assert printed["storage_targets"] == ["1202 (public)"]
    assert printed["prompt_styles"] == ["enhance_prompt"]
    assert "simple_bg_0811-006400.safetensors" in printed["missing"]
