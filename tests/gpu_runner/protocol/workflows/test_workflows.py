"""Templates, their slots, and what of a request they can say."""

import pytest

from gpu_runner.protocol import sampler_catalog
from gpu_runner.protocol.generation_request import (
    ChangeBackground,
    ControlUnit,
    FaceRestoration,
    GenerationRequest,
    Hires,
    Inpaint,
    LoraUse,
    Nsfw,
    Picture,
    Refiner,
)
from gpu_runner.protocol.workflows import node_names, prompt_translation, server_check, slots
from gpu_runner.protocol.workflows.capabilities import inexpressible
from gpu_runner.protocol.workflows.default_purpose import purpose_of
from gpu_runner.protocol.workflows.template import Place
from tests.gpu_runner.comfyui.conftest import shipped

PICTURE = Picture(sha256="0" * 64)
FROM_A_PICTURE = {"task": "img2img", "init_images": (PICTURE,)}


def refused(**fields) -> list[str]:
    request = GenerationRequest(**fields)
    return [field for field, _why in inexpressible(request, shipped(purpose_of(request)))]


@pytest.mark.parametrize(
    "fields",
    [
        {
            "prompt": "a (red:1.3) [circle]",
            "negative_prompt": "blue",
            "seed": 9,
            "subseed": 4,
            "clip_skip": 2,
            "vae": "sepia",
        },
        {"loras": (LoraUse(name="night"),), "sampler": "DPM++ 2M", "scheduler": "Karras", "num_images": 4},
        {"hires": Hires(width=1024, height=1024, strength=0.5, sampler="Euler a")},
        {"hires": Hires(width=1024, height=1024, upscaler="2x")},
        FROM_A_PICTURE
        | {"strength": 0.4, "resize_mode": "fill", "colour_correction": True, "keep_texture": False},
        FROM_A_PICTURE
        | {"inpaint": Inpaint(mask=PICTURE, invert=True, only_masked=True, padding=32, content="fill")},
        FROM_A_PICTURE | {"controls": (ControlUnit(model="lineart", module="lineart", pixel_perfect=True),)},
        FROM_A_PICTURE
        | {"task": "change_background", "strength": 1.0, "change_background": ChangeBackground(mask=PICTURE)},
    ],
)
def test_what_the_shipped_workflows_can_say(fields):
    assert refused(**fields) == []


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("refiner", {"refiner": Refiner(checkpoint="other")}),
        ("tiling", {"tiling": True}),
        ("subseed_strength", {"subseed_strength": 0.5}),
        ("s_churn", {"s_churn": 1.0}),
        ("eta", {"eta": 0.5}),
        ("face_restoration", {"face_restoration": FaceRestoration()}),
        ("nsfw", {"nsfw": Nsfw(policy="blur")}),
        ("emphasis", {"emphasis": "No norm"}),
        ("sampler", {"sampler": "PLMS"}),
        ("scheduler", {"scheduler": "Align Your Steps"}),
        ("prompt", {"prompt": "a cat AND a dog"}),
        ("prompt", {"prompt": "a [cat:dog:0.5]"}),
        ("negative_prompt", {"negative_prompt": "red BREAK blue"}),
        ("hires.prompt", {"hires": Hires(width=1024, height=1024, prompt="other words")}),
        ("hires.upscaler", {"hires": Hires(width=1024, height=1024, upscaler="Latent (antialiased)")}),
        ("inpaint.content", FROM_A_PICTURE | {"inpaint": Inpaint(mask=PICTURE, content="noise")}),
        ("inpaint.conditioning_weight", FROM_A_PICTURE | {"inpaint": Inpaint(mask=PICTURE, conditioning_weight=0.5)}),
        ("controls.control_mode", {"controls": (ControlUnit(model="a", image=PICTURE, control_mode="prompt"),)}),
        ("controls.module", {"controls": (ControlUnit(model="a", image=PICTURE, module="reference_only"),)}),
        ("controls.model", {"controls": (ControlUnit(image=PICTURE),)}),
        (
            "change_background.mask",
            {"task": "change_background", "init_images": (PICTURE,), "change_background": ChangeBackground()},
        ),
    ],
)  # fmt: skip
def test_what_they_cannot_say_is_refused_by_its_name(field, fields):
    assert refused(**fields) == [field]


def test_a_template_refuses_what_it_has_no_slot_for():
    plain = shipped("txt2img")
    fewer = plain.model_copy(
        update={"slots": {k: v for k, v in plain.slots.items() if k != "guidance_scale"}}
    )
    found = list(inexpressible(GenerationRequest(guidance_scale=3), fewer))
    assert [field for field, _why in found] == ["guidance_scale"]
    assert list(inexpressible(GenerationRequest(), fewer)) == []


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a red circle", "a red circle"),
        ("a (red) circle", "a (red:1.1) circle"),
        (r"a \(red\) circle", r"a \(red\) circle"),
        ("[[a]] b", "(a:0.8264) b"),
        ("<lora:night:1> a", "a"),
    ],
)
def test_prompts_are_written_in_comfyuis_words(text, written):
    assert prompt_translation.positive(text, 20) == written


def test_embeddings_are_marked_where_words_say_them():
    written = prompt_translation.positive("a plum, plumage", 20, {"plum": "sub/plum-v2"})
    assert written == "a embedding:sub/plum-v2 , plumage"


def test_every_sampler_is_mapped_or_known_to_be_missing():
    missing = {sampler.name for sampler in sampler_catalog.SAMPLERS} - node_names.SAMPLERS.keys()
    assert missing == {"DPM adaptive", "Restart", "PLMS", "DDIM CFG++"}


def test_every_scheduler_is_mapped_or_known_to_be_missing():
    labels = {scheduler.label for scheduler in sampler_catalog.SCHEDULERS} - {sampler_catalog.AUTOMATIC}
    assert labels - node_names.SCHEDULERS.keys() == {"Align Your Steps"}


@pytest.mark.parametrize("text", ["", "6", "6.", ".text", ":0", "6:x", "6:99999"])
def test_a_place_that_is_none(text):
    with pytest.raises(ValueError, match="neither"):
        Place.read(text)


def test_both_shapes_of_choices_are_read():
    assert server_check.choices([["a", "b"], {}]) == ["a", "b"]
    assert server_check.choices(["COMBO", {"options": ["a"]}]) == ["a"]
    assert server_check.choices(["COMBO", {}]) is None
    assert server_check.choices(["INT", {}]) is None


@pytest.mark.parametrize(
    "graph", [None, [], "text", 7, {"1": 2}, {"1": {"class_type": 5}}, {"": {"class_type": "A"}}]
)
def test_rubbish_is_no_template(graph):
    with pytest.raises(ValueError, match=r"."):
        slots.read("rubbish", graph, {"filename_prefix": "1.a"})
