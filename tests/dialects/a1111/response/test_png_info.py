"""Generation parameters in the metadata of images."""

import base64
import io
import json
from typing import Any

import pytest
from PIL import Image, PngImagePlugin
from PIL.ExifTags import IFD, Base

from models_registry.models import PromptStyle

INFOTEXT = (
    "a cat, <lora:add_detail:0.8>\non a mat\nNegative prompt: blurry\nand dull\n"
    "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.0, Seed: 1003, Size: 512x768, "
    'Hires prompt: "a \\"big\\" cat, here", Lora hashes: "add_detail: 7c6bad76eb54", Version: v1.10.1'
)


def png(text: str = "", **more: str) -> str:
    chunks = PngImagePlugin.PngInfo()
    for name, value in {"parameters": text, **more}.items():
        if value:
            chunks.add_text(name, value)
    return encoded("PNG", pnginfo=chunks, dpi=(72, 72))


def encoded(kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, kind, **options)
    return base64.b64encode(buffer.getvalue()).decode()


def with_exif_comment(kind: str, comment: bytes) -> str:
    exif = Image.Exif()
    exif.get_ifd(IFD.Exif)[Base.UserComment] = comment
    return encoded(kind, exif=exif.tobytes())


def test_infotext_is_parsed(alice) -> None:
    body = alice.post("png-info", {"image": png(INFOTEXT)}).json()
    assert body["info"] == INFOTEXT
    found = body["parameters"]
    assert found["Prompt"] == "a cat, <lora:add_detail:0.8>\non a mat"
    assert found["Negative prompt"] == "blurry\nand dull"
    assert (found["Steps"], found["CFG scale"], found["Size-1"], found["Size-2"]) == (
        "20",
        "7.0",
        "512",
        "768",
    )
    assert found["Hires prompt"] == 'a "big" cat, here'
    assert found["Lora hashes"] == "add_detail: 7c6bad76eb54"
    assert "Size" not in found


def test_implied_values_are_added(alice) -> None:
    found = alice.post("png-info", {"image": png("a (cat)\nSteps: 1, Seed: 2, Sampler: Euler")}).json()[
        "parameters"
    ]
    assert (
        found
        | {
            "Clip skip": "1",
            "Hires resize-1": 0,
            "Hires sampler": "Use same sampler",
            "Mask mode": "Inpaint masked",
            "Inpaint area": "Whole picture",
            "Masked area padding": 32,
            "RNG": "GPU",
            "Schedule type": "Automatic",
            "Refiner switch by sampling steps": False,
            "Emphasis": "Original",
        }
        == found
    )


def test_fewer_than_three_pairs_belong_to_the_prompt(alice) -> None:
    found = alice.post("png-info", {"image": png("title: cat, mood: calm")}).json()["parameters"]
    assert (found["Prompt"], "mood" in found) == ("title: cat, mood: calm", False)


def test_image_without_metadata_has_an_empty_infotext(alice) -> None:
    body = alice.post("png-info", {"image": png()}).json()
    assert (body["info"], body["items"], body["parameters"]["Prompt"]) == ("", {}, "")


def test_other_metadata_is_returned_as_items(alice) -> None:
    body = alice.post("png-info", {"image": png("x", Author="me")}).json()
    assert (body["info"], body["items"]) == ("x", {"Author": "me"})


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
def test_infotext_is_read_from_exif_of_jpeg_and_webp(alice, kind) -> None:
    image = with_exif_comment(kind, b"UNICODE\0" + "猫\nSteps: 3".encode("utf-16-be"))
    body = alice.post("png-info", {"image": image}).json()
    assert (body["info"], body["items"]["exif comment"]) == ("猫\nSteps: 3", "猫\nSteps: 3")


def test_novelai_metadata_is_converted(alice) -> None:
    comment = {"uc": "bad", "steps": 28, "sampler": "k_euler_ancestral", "scale": 11, "seed": 7}
    image = png(
        Software="NovelAI", Description="a girl", Comment=json.dumps({**comment, "width": 512, "height": 768})
    )
    found = alice.post("png-info", {"image": image}).json()["parameters"]
    assert (found["Prompt"], found["Negative prompt"], found["Sampler"]) == ("a girl", "bad", "Euler a")
    assert (found["Seed"], found["Size-2"], found["Clip skip"]) == ("7", "768", "2")


@pytest.mark.parametrize("comment", ["{", "[]", "{}", '{"sampler": []}', "null"])
def test_invalid_novelai_metadata_is_ignored(alice, comment) -> None:
    image = png(Software="NovelAI", Description="a girl", Comment=comment)
    assert alice.post("png-info", {"image": image}).json()["info"] == ""


def test_styles_of_the_source_are_extracted_from_the_prompt(alice, other_source) -> None:
    PromptStyle.objects.create(name="film", prompt="film still", negative_prompt="cartoon")
    PromptStyle.objects.create(name="frame", prompt="photo of {prompt}, 35mm")
    secret = PromptStyle.objects.create(name="secret", prompt="35mm, film still")
    secret.allowed_sources.add(other_source)
    text = "photo of a cat, 35mm, film still\nNegative prompt: dull, cartoon\nSteps: 1, Seed: 2, Size: 8x8"
    found = alice.post("png-info", {"image": png(text)}).json()["parameters"]
    assert (found["Prompt"], found["Negative prompt"]) == ("a cat", "dull")
    assert found["Styles array"] == ["frame", "film"]


def test_image_is_required(alice) -> None:
    entry = alice.post("png-info", {}).json()["detail"][0]
    assert (entry["loc"], entry["type"]) == (["body", "image"], "value_error.missing")


@pytest.mark.parametrize("image", ["", "x", "aGVsbG8=", "data:image/png;base64,"])
def test_invalid_image_is_500(alice, image) -> None:
    response = alice.post("png-info", {"image": image})
    assert (response.status_code, response.json()["detail"]) == (500, "Invalid encoded image")


def test_infotext_of_a_generated_image_is_read(alice, complete) -> None:
    job = alice.submit(seed=11)
    complete(job)
    body = alice.post("png-info", {"image": alice.result(job)["images"][0]}).json()
    assert body["info"] == "Seed: 11"
