"""What is written in a picture about how it was drawn."""

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
    return saved("PNG", pnginfo=chunks, dpi=(72, 72))


def saved(kind: str, **how: Any) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, kind, **how)
    return base64.b64encode(buffer.getvalue()).decode()


def commented(kind: str, comment: bytes) -> str:
    exif = Image.Exif()
    exif.get_ifd(IFD.Exif)[Base.UserComment] = comment
    return saved(kind, exif=exif.tobytes())


def test_an_infotext_is_taken_apart(alice) -> None:
    told = alice.post("png-info", {"image": png(INFOTEXT)}).json()
    assert told["info"] == INFOTEXT
    found = told["parameters"]
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


def test_what_a_text_leaves_open_is_filled_in_as_the_original_does(alice) -> None:
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


def test_fewer_than_three_pairs_are_a_prompt(alice) -> None:
    found = alice.post("png-info", {"image": png("title: cat, mood: calm")}).json()["parameters"]
    assert (found["Prompt"], "mood" in found) == ("title: cat, mood: calm", False)


def test_a_picture_without_a_text_has_none(alice) -> None:
    told = alice.post("png-info", {"image": png()}).json()
    assert (told["info"], told["items"], told["parameters"]["Prompt"]) == ("", {}, "")


def test_other_texts_are_items_and_technical_ones_are_not(alice) -> None:
    told = alice.post("png-info", {"image": png("x", Author="me")}).json()
    assert (told["info"], told["items"]) == ("x", {"Author": "me"})


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_jpeg_and_webp_carry_it_in_their_exif(alice, kind) -> None:
    image = commented(kind, b"UNICODE\0" + "猫\nSteps: 3".encode("utf-16-be"))
    told = alice.post("png-info", {"image": image}).json()
    assert (told["info"], told["items"]["exif comment"]) == ("猫\nSteps: 3", "猫\nSteps: 3")


def test_novelais_pictures_are_translated(alice) -> None:
    comment = {"uc": "bad", "steps": 28, "sampler": "k_euler_ancestral", "scale": 11, "seed": 7}
    image = png(
        Software="NovelAI", Description="a girl", Comment=json.dumps({**comment, "width": 512, "height": 768})
    )
    found = alice.post("png-info", {"image": image}).json()["parameters"]
    assert (found["Prompt"], found["Negative prompt"], found["Sampler"]) == ("a girl", "bad", "Euler a")
    assert (found["Seed"], found["Size-2"], found["Clip skip"]) == ("7", "768", "2")


@pytest.mark.parametrize("comment", ["{", "[]", "{}", '{"sampler": []}', "null"])
def test_what_only_says_it_is_novelais_does_no_harm(alice, comment) -> None:
    image = png(Software="NovelAI", Description="a girl", Comment=comment)
    assert alice.post("png-info", {"image": image}).json()["info"] == ""


def test_known_styles_are_found_in_the_prompt(alice, other_source) -> None:
    PromptStyle.objects.create(name="film", prompt="film still", negative_prompt="cartoon")
    PromptStyle.objects.create(name="frame", prompt="photo of {prompt}, 35mm")
    secret = PromptStyle.objects.create(name="secret", prompt="35mm, film still")
    secret.allowed_sources.add(other_source)
    text = "photo of a cat, 35mm, film still\nNegative prompt: dull, cartoon\nSteps: 1, Seed: 2, Size: 8x8"
    found = alice.post("png-info", {"image": png(text)}).json()["parameters"]
    assert (found["Prompt"], found["Negative prompt"]) == ("a cat", "dull")
    assert found["Styles array"] == ["frame", "film"]


def test_the_picture_is_required(alice) -> None:
    entry = alice.post("png-info", {}).json()["detail"][0]
    assert (entry["loc"], entry["type"]) == (["body", "image"], "value_error.missing")


@pytest.mark.parametrize("image", ["", "x", "aGVsbG8=", "data:image/png;base64,"])
def test_what_is_no_picture_is_told_so(alice, image) -> None:
    response = alice.post("png-info", {"image": image})
    assert (response.status_code, response.json()["detail"]) == (500, "Invalid encoded image")


def test_what_we_draw_can_be_read_again(alice, draw) -> None:
    job = alice.submit(seed=11)
    draw(job)
    told = alice.post("png-info", {"image": alice.result(job)["images"][0]}).json()
    assert told["info"] == "Seed: 11"
