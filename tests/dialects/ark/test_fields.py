"""Every field of the request, and what it becomes."""

import pytest
from PIL import Image

from gpu_runner.protocol.catalogs import upscalers as upscaler_catalog
from jobs.images.storage import read_input
from jobs.models import Lane
from models_registry.models import Kind, ModelFile
from tests.dialects.ark.conftest import PROMPT, data_uri
from tests.support.editing_checkpoint import editing_checkpoint
from tests.support.fake_runner import png
from tests.support.text_model_server import DETAILS

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

MAX_IMAGES = "sequential_image_generation_options.max_images"


@pytest.mark.field("ark_images_generations", "prompt")
def test_job_of_the_least_request(alice, source, checkpoint):
    job = alice.job()
    request = job.generation_request
    assert (job.dialect, job.operation, job.lane) == ("ark", "images/generations", Lane.INTERACTIVE)
    assert (request.task, request.checkpoint, request.prompt) == ("txt2img", "shapes", PROMPT)
    assert (request.width, request.height, request.num_images) == (512, 512, 1)
    assert (request.output_format, request.labels, request.hires) == ("jpeg", (), None)
    assert job.received == {"model": "shapes", "prompt": PROMPT}


@pytest.mark.field("ark_images_generations", "model")
def test_model_is_found_by_an_alias(alice, checkpoint):
    checkpoint.aliases = ["doubao-seedream-4-0-250828"]
    checkpoint.save()
    assert alice.request(model="doubao-seedream-4-0-250828").checkpoint == "shapes"
    assert alice.request(model="shapes.safetensors").checkpoint == "shapes"


def test_lora_tag_of_the_prompt(alice, model):
    model(Kind.LORA, "night", path="loras/night.safetensors")
    (lora,) = alice.request(prompt="a cat <lora:night:0.5>").loras
    assert (lora.name, lora.unet) == ("night", 0.5)


def test_unknown_lora_is_refused(alice):
    error = alice.refused(prompt="a cat <lora:none:1>")
    assert (error["code"], error["param"]) == ("InvalidParameter", "prompt")


@pytest.mark.field("ark_images_generations", "seed")
def test_seed(alice):
    assert alice.request(seed=7).seed == 7
    assert alice.request(seed=-1).seed != alice.request(seed=-1).seed


@pytest.mark.field("ark_images_generations", "guidance_scale")
def test_guidance_scale(alice):
    assert alice.request(guidance_scale=5).guidance_scale == 5
    assert alice.request().guidance_scale == 7


@pytest.mark.field("ark_images_generations", "image_guidance_scale")
def test_image_guidance_scale_needs_a_checkpoint_that_edits_by_instruction(alice, checkpoint, red):
    assert alice.refused(image_guidance_scale=2, image=red)["param"] == "image_guidance_scale"
    ModelFile.objects.filter(pk=checkpoint.pk).update(instruct=True)
    assert alice.refused(image_guidance_scale=2)["param"] == "image_guidance_scale"
    request = alice.request(image_guidance_scale=2, image=red)
    assert (request.image_guidance_scale, request.strength) == (2, 1)
    assert alice.request(image=red).image_guidance_scale is None


def test_null_fields_are_absent(alice):
    fields = ("image", "size", "seed", "guidance_scale", "tools", "watermark", "stream", "background")
    job = alice.job(**dict.fromkeys(fields), sequential_image_generation_options={"max_images": None})
    assert (job.generation_request.task, job.generation_request.num_images) == ("txt2img", 1)


# Images


@pytest.mark.field("ark_images_generations", "image")
def test_image_by_data_uri_is_edited_at_its_ratio(alice):
    job = alice.job(image=data_uri(png(200, 100)))
    request = job.generation_request
    assert (request.task, request.strength, request.resize_mode) == ("img2img", 0.75, "crop")
    assert (request.width, request.height) == (728, 360)
    assert read_input(request.init_images[0].sha256) == png(200, 100)
    assert job.received["image"] == f"sha256:{request.init_images[0].sha256}"


@pytest.mark.field("ark_images_generations", "image")
def test_image_by_url_and_in_an_array(alice, web):
    job = alice.job(image=[web.url("/red.png")], size="96x64")
    assert len(job.generation_request.init_images) == 1
    assert job.received["image"] == web.url("/red.png")


def test_empty_array_is_no_image(alice):
    assert alice.request(image=[]).task == "txt2img"


@pytest.mark.field("ark_images_generations", "image")
@pytest.mark.parametrize("count", [2, 15])
def test_more_than_one_image_is_refused(alice, red, count):
    error = alice.refused(image=[red] * count)
    assert error["param"] == "image"
    assert ("at most 14" in error["message"]) == (count > 14)


@pytest.mark.parametrize(
    "image",
    [
        "",
        "no image",
        "data:image/png;base64,!",
        data_uri(b"GIF89a"),
        "ftp://example.com/a.png",
        "http://127.0.0.1:9/a.png",
        7,
        [7],
        [[]],
    ],
)
def test_unusable_image_is_refused(alice, image):
    error = alice.refused(image=image)
    assert error["code"] == "InvalidParameter"
    assert error["param"].partition(".")[0] == "image"


# Size


@pytest.mark.field("ark_images_generations", "size")
def test_size_in_pixels(alice):
    request = alice.request(size="640x384")
    assert (request.width, request.height, request.hires) == (640, 384, None)


@pytest.mark.field("ark_images_generations", "size")
def test_large_size_is_generated_in_two_passes(alice):
    request = alice.request(size="2K")
    assert (request.width, request.height) == (512, 512)
    assert (request.hires.width, request.hires.height) == (2048, 2048)
    assert request.hires.upscaler == upscaler_catalog.LANCZOS


def test_default_upscaler_enlarges_the_first_pass(alice, model):
    model(Kind.UPSCALER, "good-4x", is_default=True)
    assert alice.request(size="1K").hires.upscaler == "good-4x"


def test_large_edited_image_has_one_pass(alice, red):
    request = alice.request(size="1K", image=red)
    assert (request.width, request.height, request.hires) == (1024, 1024, None)


@pytest.mark.parametrize("fields", [{"size": "4K"}, {"size": "2560x1440"}])
def test_size_over_the_limit_of_the_source_is_refused(alice, fields):
    error = alice.refused(**fields)
    assert (error["code"], error["param"]) == ("InvalidParameter", "size")
    assert "size: width must be at most 2048 for shop" in error["message"]


@pytest.mark.parametrize("size", ["1x1", "8K", "1024", 1024, "1025x1024", "x" * 21])
def test_invalid_size_is_refused(alice, size):
    assert alice.refused(size=size)["param"] == "size"


def test_steps_are_within_the_limits_of_source_and_key(alice, source):
    assert alice.request().num_inference_steps == 20
    source.max_steps = 15
    source.save()
    assert alice.request().num_inference_steps == 15
    alice.access_key.max_steps = 8
    alice.access_key.save()
    assert alice.request().num_inference_steps == 8


# Several images


@pytest.mark.field(
    "ark_images_generations", "sequential_image_generation", "sequential_image_generation_options.max_images"
)
def test_sequential_generation_has_consecutive_seeds(alice):
    request = alice.request(
        seed=3, sequential_image_generation="auto", sequential_image_generation_options={"max_images": 3}
    )
    assert (request.num_images, request.batch_size) == (3, 3)
    assert [request.seed_of(index) for index in range(3)] == [3, 4, 5]


def test_sequential_generation_without_a_number(alice):
    assert alice.request(sequential_image_generation="auto").num_images == 4


@pytest.mark.parametrize("count", [0, 16, "3", 1.5])
def test_invalid_number_of_images_is_refused(alice, count):
    fields = {"sequential_image_generation_options": {"max_images": count}}
    assert alice.refused(sequential_image_generation="auto", **fields)["param"] == MAX_IMAGES


def test_number_of_images_without_sequential_generation_is_refused(alice):
    assert alice.refused(sequential_image_generation_options={"max_images": 2})["param"] == MAX_IMAGES


def test_number_of_images_over_the_limit_of_the_source_is_refused(alice, source):
    source.max_images = 2
    source.save()
    assert alice.refused(sequential_image_generation="auto")["param"] == MAX_IMAGES


def test_images_sent_and_generated_are_fifteen_together(alice, red):
    fields = {"sequential_image_generation": "auto", "image": red}
    assert alice.request(**fields, sequential_image_generation_options={"max_images": 14}).num_images == 14
    response = alice.post(**fields, sequential_image_generation_options={"max_images": 15})
    assert response.json()["error"]["param"] == MAX_IMAGES


# Output


@pytest.mark.field("ark_images_generations", "output_format")
def test_output_format(alice):
    assert alice.request(output_format="png").output_format == "png"
    assert alice.request(output_format="jpeg").output_format == "jpeg"


@pytest.mark.field("ark_images_generations", "watermark")
def test_watermark_is_a_label(alice):
    (label,) = alice.request(watermark=True).labels
    assert (label.text, label.corner) == ("AI生成", "bottom-right")
    assert alice.request(watermark=False).labels == ()


@pytest.mark.field("ark_images_generations", "background")
def test_transparent_background(alice, model):
    model(Kind.MATTING, "u2netp", path="matting/u2netp.onnx")
    request = alice.request(background="transparent")
    assert (request.task, request.output_format) == ("txt2img", "png")
    assert request.cut_out.matting_model == "u2netp"
    assert alice.request(background="opaque").cut_out is None


def test_transparent_background_without_a_matting_model_is_refused(alice):
    assert alice.refused(background="transparent")["param"] == "background"


def test_transparent_background_is_png_only(alice):
    error = alice.refused(background="transparent", output_format="jpeg")
    assert error["param"] == "output_format"


# Refused by name, or noted


@pytest.mark.field("ark_images_generations", "tools", "layer_decomposition")
@pytest.mark.parametrize(
    "fields",
    [
        {"layer_decomposition": True},
        {"tools": [{"type": "web_search"}]},
        {"n": 2},
        {"optimize_prompt": "yes"},
        {"negative_prompt": "blurry"},
        {"response_format": "svg"},
        {"output_format": "webp"},
        {"background": "auto"},
        {"stream": "yes"},
        {"watermark": 1},
        {"seed": -2},
        {"seed": 1.5},
        {"guidance_scale": -1},
        {"prompt": ""},
        {"prompt": "a" * 20_001},
        {"model": ""},
    ],
    ids=str,
)
def test_what_is_not_supported_is_refused_by_name(alice, fields):
    error = alice.refused(**fields)
    (name,) = fields
    assert (error["code"], error["type"], error["param"]) == ("InvalidParameter", "BadRequest", name)
    assert name in error["message"]


@pytest.mark.parametrize("fields", [{"tools": []}, {"layer_decomposition": False}, {"background": "opaque"}])
def test_harmless_values_are_accepted(alice, fields):
    assert alice.request(**fields).task == "txt2img"


@pytest.mark.parametrize("name", ["model", "prompt"])
def test_required_field(alice, name):
    assert alice.refused(**{name: None}) == {
        "code": "InvalidParameter",
        "message": f"{name}: is required",
        "param": name,
        "type": "BadRequest",
    }


def test_image_is_stored_upright_and_unchanged(alice, storage_folder):
    sha256 = alice.request(image=data_uri(png(80, 64, "blue"))).init_images[0].sha256
    assert Image.open(next(storage_folder.rglob(f"{sha256}*"))).size == (80, 64)


OPTIMIZED = [{"optimize_prompt_options": {"mode": "fast", "thinking": "auto"}}, {"optimize_prompt": True}]


@pytest.mark.field("ark_images_generations", "optimize_prompt_options.mode")
@pytest.mark.parametrize("fields", OPTIMIZED)
def test_prompt_is_optimized_by_the_text_model(alice, text_model, fields):
    job = alice.job(prompt="一只猫", **fields)
    assert job.generation_request.prompt == f"a cat, {DETAILS}"
    assert job.received["prompt"] == "一只猫"


def test_optimization_is_the_setting_of_the_source_unless_declined(alice, source, text_model):
    source.prompt_mode = "expand"
    source.save()
    assert alice.request().prompt == f"{PROMPT}, {DETAILS}"
    assert alice.request(optimize_prompt=False).prompt == PROMPT


@pytest.mark.parametrize("fields", OPTIMIZED)
def test_optimization_without_a_text_model_is_noted(alice, fields):
    job = alice.job(**fields)
    assert job.generation_request.prompt == PROMPT
    assert "text model" in job.transitions.get().note


def test_optimization_without_a_text_model_is_refused_for_a_strict_source(alice, source):
    source.strict = True
    source.save()
    assert alice.refused(optimize_prompt_options={"mode": "standard"})["param"] == "prompt"


def test_optimization_with_a_long_reasoning_is_refused(alice):
    options = {"mode": "standard", "thinking": "enabled"}
    assert alice.refused(optimize_prompt_options=options)["param"] == "optimize_prompt_options.thinking"


@pytest.mark.field("ark_images_generations", "image")
def test_images_are_references_of_a_checkpoint_that_edits(alice):
    editing_checkpoint()
    images = [data_uri(png(side, 64)) for side in range(64, 70)]
    one = alice.request(model="klein", image=images[0])
    assert (one.task, one.strength) == ("img2img", 1.0)
    assert len(alice.request(model="klein", image=images[:4], size="256x256").images) == 4
    error = alice.post(model="klein", image=images, size="256x256").json()["error"]
    assert error["param"] == "image"
    assert "takes at most 4 reference images for one output (got 6)" in error["message"]
