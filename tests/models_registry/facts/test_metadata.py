"""Cards and generation defaults from the metadata of files."""

import base64
import io

import pytest
from PIL import Image

from models_registry.facts.cover import cover_jpeg, stated_cover
from models_registry.facts.metadata import commercial_use, stated


@pytest.mark.parametrize(
    ("licence", "permitted"),
    [
        ("Apache-2.0", "yes"),
        ("MIT License", "yes"),
        ("BSD-3-Clause", "yes"),
        ("CC0-1.0", "yes"),
        ("CC BY 4.0", "yes"),
        ("CreativeML Open RAIL-M", "yes"),
        ("openrail++", "yes"),
        ("CC-BY-NC-4.0", "no"),
        ("CC BY-NC-SA 4.0", "no"),
        ("FLUX.1 [dev] Non-Commercial License", "no"),
        ("Stability AI Community License", "unknown"),
        ("Mitsubishi internal", "unknown"),
        ("CC-BY-ND-4.0", "unknown"),
        ("", "unknown"),
    ],
)
def test_well_known_license_says_whether_commercial_use_is_permitted(licence, permitted):
    assert commercial_use(licence) == permitted


def test_checkpoint_has_the_size_of_its_file_before_that_of_its_family():
    facts = stated({"modelspec.resolution": "832x1216", "modelspec.encoder_layer": "2"}, "checkpoint", "sdxl")
    assert (facts["default_width"], facts["default_height"], facts["default_clip_skip"]) == (832, 1216, 2)
    usual = stated({"modelspec.resolution": "250x250", "modelspec.encoder_layer": "99"}, "checkpoint", "sdxl")
    assert (usual["default_width"], usual["default_height"], usual["default_clip_skip"]) == (1024, 1024, None)


def test_flow_model_has_the_sampling_of_its_family_and_a_diffusion_model_that_of_the_dialect():
    sd3, sd15 = stated({}, "checkpoint", "sd3"), stated({}, "checkpoint", "sd15")
    names = ("default_steps", "default_guidance_scale", "default_sampler", "default_width")
    assert [sd3[name] for name in names] == [28, 4.5, "Euler", 1024]
    assert [sd15[name] for name in names] == [None, None, "", 512]
    assert stated({}, "checkpoint", "unknown")["default_width"] is None


def test_card_of_a_lora_has_what_its_training_script_wrote():
    facts = stated(
        {
            "modelspec.author": "Ada",
            "modelspec.tags": "night, , style,night",
            "ss_training_comment": "None",
            "ss_sd_model_name": "v1-5-pruned.safetensors",
            "modelspec.license": "x" * 900,
        },
        "lora",
        "sd15",
    )
    assert facts["author"] == "Ada"
    assert facts["tags"] == ["night", "style"]
    assert facts["description"] == ""
    assert facts["base"] == "v1-5-pruned.safetensors"
    assert len(facts["licence"]) == 200
    assert "default_width" not in facts


def _thumbnail(data: bytes) -> dict[str, str]:
    return {"modelspec.thumbnail": "data:image/jpeg;base64," + base64.b64encode(data).decode()}


def test_thumbnail_of_a_file_is_its_cover():
    buffer = io.BytesIO()
    Image.new("RGB", (900, 600), "red").save(buffer, "JPEG")
    cover = Image.open(io.BytesIO(stated_cover(_thumbnail(buffer.getvalue()))))
    assert cover.format == "JPEG"
    assert cover.size == (512, 341)
    red, green, blue = cover.getpixel((100, 100))
    assert red > 240 > 20 > max(green, blue)


@pytest.mark.parametrize(
    "metadata",
    [{}, {"modelspec.thumbnail": "https://images.example/1.jpg"}, _thumbnail(b"no image"), _thumbnail(b"")],
    ids=["none", "url", "no-image", "empty"],
)
def test_file_without_a_readable_thumbnail_has_no_cover(metadata):
    assert stated_cover(metadata) is None


def test_transparent_cover_is_shown_on_white():
    cover = Image.open(io.BytesIO(cover_jpeg(Image.new("RGBA", (64, 64), (0, 0, 0, 0)))))
    assert min(cover.getpixel((30, 30))) > 250
