"""Workflow templates: slots, validation, supported request fields, and prompt translation."""

import pytest

from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from gpu_runner.protocol.generation_request import GenerationRequest
from gpu_runner.protocol.request_parts.analysis import Analysis
from gpu_runner.protocol.request_parts.backgrounds import ChangeBackground
from gpu_runner.protocol.request_parts.control import ControlUnit
from gpu_runner.protocol.request_parts.details import FaceRestoration
from gpu_runner.protocol.request_parts.outputs import Nsfw
from gpu_runner.protocol.request_parts.passes import Hires, Inpaint, LoraUse, Refiner
from gpu_runner.protocol.request_parts.values import InputImage
from gpu_runner.protocol.workflows import node_names, prompt_translation, server_check, slots
from gpu_runner.protocol.workflows.capabilities import unsupported_fields, without_ignorable
from gpu_runner.protocol.workflows.default_purpose import purpose_of
from gpu_runner.protocol.workflows.template import Target
from tests.gpu_runner.comfyui.conftest import shipped_workflow
from tests.support.comfyui_templates import FLUX_SLOTS, flux

IMAGE = InputImage(sha256="0" * 64)
IMG2IMG = {"task": "img2img", "init_images": (IMAGE,)}


def unsupported(**fields) -> list[str]:
    request = GenerationRequest(**fields)
    return [found.field for found in unsupported_fields(request, shipped_workflow(purpose_of(request)))]


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
        IMG2IMG | {"strength": 0.4, "resize_mode": "fill", "colour_correction": True, "keep_texture": False},
        IMG2IMG | {"inpaint": Inpaint(mask=IMAGE, invert=True, only_masked=True, padding=32, content="fill")},
        IMG2IMG | {"controls": (ControlUnit(model="lineart", module="lineart", pixel_perfect=True),)},
        IMG2IMG
        | {"task": "change_background", "strength": 1.0, "change_background": ChangeBackground(mask=IMAGE)},
    ],
)
def test_shipped_workflows_support_these_fields(fields):
    assert unsupported(**fields) == []


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
        ("hires.prompt", {"hires": Hires(width=1024, height=1024, prompt="another prompt")}),
        ("hires.upscaler", {"hires": Hires(width=1024, height=1024, upscaler="Latent (antialiased)")}),
        ("inpaint.content", IMG2IMG | {"inpaint": Inpaint(mask=IMAGE, content="noise")}),
        ("inpaint.conditioning_weight", IMG2IMG | {"inpaint": Inpaint(mask=IMAGE, conditioning_weight=0.5)}),
        ("controls.control_mode", {"controls": (ControlUnit(model="a", image=IMAGE, control_mode="prompt"),)}),
        ("controls.module", {"controls": (ControlUnit(model="a", image=IMAGE, module="reference_only"),)}),
        ("controls.model", {"controls": (ControlUnit(image=IMAGE),)}),
        (
            "change_background.mask",
            {"task": "change_background", "init_images": (IMAGE,), "change_background": ChangeBackground()},
        ),
        (
            "change_background.mask",
            {
                "task": "change_background", "init_images": (IMAGE,),
                "change_background": ChangeBackground(cut_out_by="letters"),
            },
        ),
    ],
)  # fmt: skip
def test_unsupported_fields_are_named(field, fields):
    assert unsupported(**fields) == [field]


def test_no_workflow_analyzes_images():
    request = GenerationRequest(task="analyze", init_images=(IMAGE,), analysis=Analysis(find="faces"))
    assert "analysis" in [field for field, *_why in unsupported_fields(request, shipped_workflow("img2img"))]


def test_a_field_without_a_slot_is_unsupported_unless_it_has_its_default():
    plain = shipped_workflow("txt2img")
    fewer = plain.model_copy(
        update={"slots": {k: v for k, v in plain.slots.items() if k != "guidance_scale"}}
    )
    found = list(unsupported_fields(GenerationRequest(guidance_scale=3), fewer))
    assert [field for field, *_why in found] == ["guidance_scale"]
    assert list(unsupported_fields(GenerationRequest(), fewer)) == []


@pytest.mark.parametrize(
    ("text", "translated"),
    [
        ("a red circle", "a red circle"),
        ("a (red) circle", "a (red:1.1) circle"),
        (r"a \(red\) circle", r"a \(red\) circle"),
        ("[[a]] b", "(a:0.8264) b"),
        ("<lora:night:1> a", "a"),
    ],
)
def test_prompts_are_translated_to_comfyui_syntax(text, translated):
    assert prompt_translation.positive(text, 20) == translated


def test_embeddings_are_marked_where_the_prompt_contains_their_name():
    translated = prompt_translation.positive("a plum, plumage", 20, {"plum": "sub/plum-v2"})
    assert translated == "a embedding:sub/plum-v2 , plumage"


def test_every_sampler_is_mapped_except_those_comfyui_does_not_have():
    missing = {sampler.name for sampler in sampler_catalog.SAMPLERS} - node_names.SAMPLERS.keys()
    assert missing == {"DPM adaptive", "Restart", "PLMS", "DDIM CFG++"}


def test_every_scheduler_is_mapped_except_those_comfyui_does_not_have():
    labels = {scheduler.label for scheduler in sampler_catalog.SCHEDULERS} - {sampler_catalog.AUTOMATIC}
    assert labels - node_names.SCHEDULERS.keys() == {"Align Your Steps"}


@pytest.mark.parametrize("text", ["", "6", "6.", ".text", ":0", "6:x", "6:99999"])
def test_an_invalid_slot_target_is_rejected(text):
    with pytest.raises(ValueError, match=r"NODE\.INPUT or NODE:OUTPUT"):
        Target.read(text)


def test_both_formats_of_choice_inputs_are_parsed():
    assert server_check.choices([["a", "b"], {}]) == ["a", "b"]
    assert server_check.choices(["COMBO", {"options": ["a"]}]) == ["a"]
    assert server_check.choices(["COMBO", {}]) is None
    assert server_check.choices(["INT", {}]) is None


@pytest.mark.parametrize(
    "graph", [None, [], "text", 7, {"1": 2}, {"1": {"class_type": 5}}, {"": {"class_type": "A"}}]
)
def test_an_invalid_graph_is_rejected(graph):
    with pytest.raises(ValueError, match=r"."):
        slots.read("invalid", graph, {"filename_prefix": "1.a"})


# What a template does with values that a client may not have meant ----------------------------------------------------


def test_slot_that_is_filled_only_if_asked_keeps_the_graphs_value_for_a_default():
    plain = shipped_workflow("txt2img")
    own = slots.read("own", plain.model_dump()["graph"], plain.slots, ["guidance_scale", "sampler"])
    assert "guidance_scale" not in slots.filled_slots(own, GenerationRequest())
    assert "guidance_scale" in slots.filled_slots(own, GenerationRequest(guidance_scale=3.5))
    assert "prompt" in slots.filled_slots(own, GenerationRequest())


@pytest.mark.parametrize("slot", ["prompt", "controls", "steps"])
def test_slot_without_a_default_cannot_be_filled_only_if_asked(slot):
    plain = shipped_workflow("txt2img")
    with pytest.raises(ValueError, match=f"if_asked: {slot}"):
        slots.read("own", plain.model_dump()["graph"], plain.slots, [slot])


def test_numbers_and_names_without_a_slot_can_be_ignored_but_no_image_and_no_second_pass():
    workflow = slots.read("flux", flux(), FLUX_SLOTS)
    request = GenerationRequest(
        guidance_scale=4, negative_prompt="blue", sampler="DPM++ 2M", checkpoint="shapes", seed=3,
        hires=Hires(width=1024, height=1024),
    )  # fmt: skip
    kept, ignored = without_ignorable(request, workflow)
    assert {found.field for found in ignored} == {
        "guidance_scale",
        "negative_prompt",
        "sampler",
        "checkpoint",
    }
    assert (kept.guidance_scale, kept.negative_prompt, kept.checkpoint, kept.seed) == (7.0, "", "", 3)
    assert {found.field for found in unsupported_fields(kept, workflow)} >= {"hires.width"}


@pytest.mark.parametrize("sampler", ["Euler a", "DPM++ SDE", "DPM2 a", "DDIM"])
def test_eta_that_is_the_samplers_own_is_no_request_for_another_one(sampler):
    default = sampler_catalog.sampler(sampler).default_eta
    assert unsupported(sampler=sampler, eta=default) == []
    assert unsupported(sampler=sampler, eta=0.5) == ["eta"]


@pytest.mark.parametrize(
    ("class_type", "hint"),
    [("PreviewImage", "use the node SaveImage"), ("SaveImageWebsocket", "use the node SaveImage")],
)
def test_output_node_that_saves_nothing_is_explained(class_type, hint):
    graph = flux()
    graph["9"] = {"class_type": class_type, "inputs": {"images": ["8", 0]}}
    with pytest.raises(ValueError, match=hint):
        slots.read("flux", graph, FLUX_SLOTS)
    with pytest.raises(ValueError, match="must be the text input"):
        slots.read("flux", graph, FLUX_SLOTS | {"filename_prefix": "9.images"})


@pytest.mark.parametrize(
    ("name", "field"), [("hires", "hires"), ("img2img", "init_images"), ("inpaint", "inpaint.mask")]
)
def test_request_without_what_the_template_needs_is_refused(name, field):
    fields = IMG2IMG if name == "inpaint" else {}
    found = unsupported_fields(GenerationRequest(**fields), shipped_workflow(name))
    assert field in [one.field for one in found]
