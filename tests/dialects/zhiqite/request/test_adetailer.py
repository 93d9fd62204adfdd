"""``alwayson_scripts.ADetailer``: units as in A1111's extension, and errors in the vendor's envelope."""

import pytest

from models_registry.models import Kind

from ..conftest import generation_body

FACES = "face_yolov8n.pt"
TEXT = "sd/v2/text2image"


def script(*arguments):
    return {"ADetailer": {"args": list(arguments)}}


def unit(**fields):
    return {"ad_model": FACES} | fields


@pytest.mark.parametrize("arguments", [[True, unit()], [True, False, unit()], [unit()]])
def test_units_become_detail_passes(alice, face_models, arguments):
    request = alice.generate(scripts=script(*arguments)).generation_request
    [part] = request.detail_passes
    assert (part.detector, part.strength, part.padding, request.details_only) == ("yunet", 0.4, 32, False)


@pytest.mark.parametrize("form", [[unit()], {"args": [unit()]}, unit()])
def test_the_script_may_be_a_list_or_one_unit(alice, face_models, form):
    assert len(alice.generate(scripts={"ADetailer": form}).generation_request.detail_passes) == 1


def test_prompts_tags_and_separate_settings(alice, face_models, register):
    register(Kind.LORA, "loras/night.safetensors")
    register(Kind.DETECTOR, "detectors/hand_yolov8n.onnx")
    given = unit(
        ad_model="hand_yolov8n.pt",
        ad_prompt="one <lora:night:0.5> [SEP] [SKIP] [SEP] a [PROMPT]",
        ad_use_sampler=True,
        ad_sampler="DPM++ 2M",
        ad_scheduler="Karras",
        ad_restore_face=True,
    )
    [part] = alice.generate(scripts=script(given)).generation_request.detail_passes
    assert (part.detector_kind, part.detector) == ("detector", "hand_yolov8n")
    assert [region.skip for region in part.regions] == [False, True, False]
    assert part.regions[0].loras[0].name == "night"
    assert part.regions[2].prompt == "a a red circle"
    assert (part.sampler, part.scheduler) == ("DPM++ 2M", "Karras")
    assert part.face_restoration.model == "GFPGANv1.4"


def test_eta_of_the_override_settings_applies(alice, face_models):
    overrides = {"override_settings": {"eta_ancestral": 0.4, "initial_noise_multiplier": 0.9}}
    job = alice.generate(scripts=script(unit(ad_use_sampler=True, ad_sampler="Euler a")) | overrides)
    [part] = job.generation_request.detail_passes
    assert (part.eta, part.noise_multiplier) == (0.4, 0.9)


def test_skip_img2img_applies_the_passes_to_the_base_image(alice, face_models, web):
    scripts = script(True, True, unit()) | {"image_link": web.url("/red.png")}
    assert alice.generate("v2/image2image", scripts).generation_request.details_only
    message = alice.refused(TEXT, generation_body(script(True, True, unit())))
    assert message.startswith("alwayson_scripts.ADetailer.args.1: this operation has no base image")
    masked = scripts | {"mask_link": web.url("/mask.png")}
    message = alice.refused("sd/v1/inpaint", generation_body(masked))
    assert "img2img cannot be skipped for a request with a mask" in message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ad_model": "person_yolov8n-seg.pt"}, "ad_model: unknown detector person_yolov8n-seg.pt"),
        ({"ad_confidence": 2}, "ad_confidence: "),
        ({"ad_bogus": 2}, "ad_bogus: "),
        ({"ad_prompt": "a <lora:bogus:1>"}, "lora:bogus cannot be used"),
        ({"ad_use_sampler": True, "ad_sampler": "Bogus"}, "ad_sampler: unknown sampler Bogus"),
        ({"ad_controlnet_model": "bogus"}, "ad_controlnet_model: ControlNet model not found: bogus"),
    ],
)
def test_invalid_units_are_refused_with_their_field(alice, face_models, fields, message):
    assert message in alice.refused(TEXT, generation_body(script(True, False, unit(**fields))))


def test_what_has_no_effect_is_noted_or_refused(alice, source, face_models):
    given = script(unit(ad_model_classes="dog"))
    job = alice.generate(scripts=given)
    assert "ad_model_classes has no effect" in job.transitions.first().note
    source.strict = True
    source.save()
    assert "ad_model_classes has no effect" in alice.refused(TEXT, generation_body(given))
