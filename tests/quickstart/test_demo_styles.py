"""Style presets of the demo."""

import pytest

from dialects.volcengine.actions import LATER_STYLES, STYLES
from models_registry.models import Family, Kind, ModelFile, StylePreset
from models_registry.selectors import preset_for
from quickstart.demo_styles import make_styles

pytestmark = pytest.mark.django_db


def model(kind: Kind, name: str) -> ModelFile:
    return ModelFile.objects.create(
        kind=kind, family=Family.SD15, name=name, path=f"{kind}/{name}", sha256=name
    )


def test_every_action_of_volcengine_has_its_preset(source):
    make_styles()
    for key in filter(None, {*STYLES.values(), *LATER_STYLES.values()}):
        preset = preset_for(key, "", source)
        assert preset is not None, key
        preset.full_clean()


def test_preset_has_its_loras_and_gets_a_controlnet_that_is_added_later():
    model(Kind.CHECKPOINT, "atelier-pastel")
    model(Kind.LORA, "atelier-night")
    make_styles()
    preset = StylePreset.objects.get(key="img2img_pastel_boys_style")
    assert (preset.checkpoint.name, preset.control_model, preset.loras.count()) == ("atelier-pastel", None, 3)
    canny = model(Kind.CONTROLNET, "atelier-canny")
    make_styles()
    preset.refresh_from_db()
    assert (preset.control_model, preset.loras.count()) == (canny, 3)


@pytest.mark.parametrize("key", ["img2img_real_mix_style", "img2img_rev_animated_style"])
def test_preset_has_the_lora_of_the_vendors_example(key):
    model(Kind.LORA, "atelier-night")
    make_styles()
    assert [lora.name for lora in StylePreset.objects.get(key=key).loras.all()] == ["Dragon_v1"]


def test_changed_presets_are_kept():
    make_styles()
    StylePreset.objects.update(steps=7, enabled=False)
    make_styles()
    assert not StylePreset.objects.exclude(steps=7, enabled=False).exists()
