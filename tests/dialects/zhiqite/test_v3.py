"""v3: text2Image and image2Image."""

import pytest

from models_registry.models import Kind
from models_registry.models.prompt_styles import PromptStyle
from tests.support.input_images import photo
from tests.support.web_server import answer

BO = "saasDrawingExternalImageParameterBO"


def body(external=None, **fields):
    named = {"baseModelCode": "shapes.safetensors", "businessTaskId": "third", **(external or {})}
    return {"prompt": "a red circle", "width": 128, "height": 128, "steps": 4, **fields, BO: named}


def text(alice, external=None, **fields):
    return alice.submit("sd/v3/text2Image", body(external, **fields)).generation_request


def test_defaults(alice):
    request = text(alice)
    assert (request.task, request.checkpoint, request.output_format) == ("txt2img", "shapes", "jpeg")
    assert (request.sampler, request.guidance_scale, request.num_images) == ("Euler a", 7, 1)
    assert (request.tiling, request.subseed_strength, request.seed_resize_from_width) == (False, 0, 0)


def test_prompt_and_sampling_fields(alice, register):
    register(Kind.VAE, "vae/warm.pt")
    request = text(
        alice, {"vaeName": "warm.pt", "targetImageFormat": "png"},
        negativePrompt="blurry", iterationCount="2", singleBatchImageCount=2, steps=6, seed="5", subSeed="9",
        subSeedStrength=0.3, initialNoiseHeight=256, initialNoiseWeight=192, tilling=True, promptGuidanceFactor=9,
        samplerIndex="Heun",
    )  # fmt: skip
    assert (request.negative_prompt, request.num_images, request.batch_size) == ("blurry", 4, 2)
    assert (request.num_inference_steps, request.guidance_scale, request.sampler) == (6, 9, "Heun")
    assert (request.seed, request.subseed, request.subseed_strength) == (5, 9, 0.3)
    assert (request.seed_resize_from_width, request.seed_resize_from_height) == (192, 256)
    assert (request.tiling, request.vae, request.output_format) == (True, "warm.pt", "png")


def test_sampler_name_takes_precedence_over_sampler_index(alice):
    assert text(alice, samplerName="LMS", samplerIndex="Heun").sampler == "LMS"


def test_hires_pass_by_a_scale(alice):
    hires = text(
        alice, enableHighDefinitionRepair=True, highDefinitionRepairScale=2, highDefinitionRepairPostSteps=3,
        highDefinitionRepairEnlarger="Lanczos", deNoisingStrength=0.2,
    ).hires  # fmt: skip
    assert (hires.width, hires.height, hires.scale) == (256, 256, 2)
    assert (hires.num_inference_steps, hires.upscaler, hires.strength) == (3, "Lanczos", 0.2)


def test_first_phase_size_makes_width_and_height_the_hires_size(alice):
    request = text(
        alice, width=512, height=256, firstPhaseWidth=256, firstPhaseHeight=128, enableHighDefinitionRepair=True
    )  # fmt: skip
    assert (request.width, request.height) == (256, 128)
    assert (request.hires.width, request.hires.height) == (512, 256)


def test_styles_are_applied_to_the_prompts(alice):
    PromptStyle.objects.create(name="photo", prompt="{prompt}, photograph", negative_prompt="drawing")
    request = text(alice, styles=["photo"], negativePrompt="red")
    assert (request.prompt, request.negative_prompt) == ("a red circle, photograph", "red, drawing")


def test_image2image(alice, web):
    external = {"sourceImageUrl": web.url("/wide.png")}
    fields = {"deNoisingStrength": 0.4, "resizeMode": 2}
    request = alice.submit("sd/v3/image2Image", body(external, **fields)).generation_request
    assert (request.task, request.strength, request.resize_mode) == ("img2img", 0.4, "fill")
    assert (request.width, request.height) == (128, 128)


def test_image2image_at_a_scale_of_the_images_size(alice, web):
    external = {"sourceImageUrl": web.url("/wide.png")}
    request = alice.submit("sd/v3/image2Image", body(external, imageResizeScale=2)).generation_request
    assert (request.width, request.height) == (192, 96)


def test_faces_are_restored(alice, face_models):
    assert text(alice, restoreFaces=True).face_restoration.model == "GFPGANv1.4"


def test_task_is_found_by_the_realtime_query(alice, work):
    text(alice)
    work()
    assert alice.task("third")["status"] == 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": "a" * 2001}, "prompt: "),
        ({"restoreFaces": True}, "GFPGANv1.4.pth in the folder face_restoration"),
        ({"iterationCount": 17}, "iterationCount * singleBatchImageCount"),
        ({"scriptName": "X/Y/Z plot"}, "scriptName must be empty or None"),
        ({"styles": ["unknown"]}, "styles: unknown style unknown"),
        ({"samplerName": "Magic"}, "samplerName: unknown sampler Magic"),
        ({"subSeedStrength": 2}, "subSeedStrength: "),
        ({"highDefinitionRepairScale": 5}, "highDefinitionRepairScale: "),
        ({"initialNoiseWeight": 4096}, "initialNoiseWeight: "),
        ({"initialNoiseHeight": 64}, "initialNoiseHeight: "),
        ({BO: {"baseModelCode": "shapes"}}, f"{BO}.businessTaskId: Field required"),
    ],
)
def test_invalid_field_is_refused_with_its_name(alice, fields, message):
    assert message in alice.refused("sd/v3/text2Image", body() | fields)


def test_image2image_requires_an_image(alice):
    assert alice.refused("sd/v3/image2Image", body()).startswith(f"{BO}.sourceImageUrl is required")


def test_base_image_of_text2image_is_named(alice):
    message = alice.refused("sd/v3/text2Image", body({"sourceImageUrl": "http://a/a.png"}))
    assert message == f"{BO}.sourceImageUrl must be absent: this operation has no base image"


def test_vae_of_the_vendors_example_is_the_checkpoints_own_without_such_a_file(alice):
    assert text(alice, {"vaeName": "vae-ft-mse-840000-ema-pruned.vae.pt"}).vae == ""


def test_image2image_at_a_scale_of_the_photo_as_a_viewer_shows_it(alice, web):
    web.answers["/photo"] = answer(200, photo(96, 64))
    external = {"sourceImageUrl": web.url("/photo")}
    request = alice.submit("sd/v3/image2Image", body(external, imageResizeScale=2)).generation_request
    assert (request.width, request.height) == (192, 128)
