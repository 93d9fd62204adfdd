"""Fields of change_background: their effect on the GenerationRequest."""

import io

import pytest
from PIL import Image

from jobs.models import Transition
from models_registry.models import Kind, ModelFile
from tests.dialects.smzdm.conftest import png, product, register
from tests.support.web_server import answer


@pytest.mark.field("smzdm_change_background", "img_url", "prompt", "negative_prompt")
def test_image_and_prompts_are_those_of_the_request(alice):
    request = alice.request(prompt="green theme", negative_prompt="people")
    assert (request.prompt, request.negative_prompt, request.task) == (
        "green theme",
        "people",
        "change_background",
    )
    assert len(request.init_images) == 1
    assert request.strength == 1.0


def test_default_negative_prompt(alice):
    assert "watermark" in alice.request().negative_prompt
    assert alice.request(negative_prompt="").negative_prompt == alice.request().negative_prompt


@pytest.mark.field("smzdm_change_background", "mask_url")
def test_mask_replaces_matting(alice, image_host):
    masked, plain = alice.request(mask_url=image_host.url("/mask.png")), alice.request()
    assert (masked.change_background.mask is None, plain.change_background.mask is None) == (False, True)
    assert masked.change_background.matting_model == ""
    assert plain.change_background.matting_model == "u2netp"


@pytest.mark.field("smzdm_change_background", "is_remove_bg")
@pytest.mark.parametrize(
    ("value", "by"),
    [("True", "matting"), ("False", "transparency"), (0, "transparency"), (True, "matting"), ("", "matting")],
)
def test_is_remove_bg_selects_matting_or_transparency(alice, image_host, value, by):
    request = alice.request(img_url=image_host.url("/cut-out.png"), is_remove_bg=value)
    assert request.change_background.cut_out_by == by


def palette(transparent: int | None) -> bytes:
    image, file = product().quantize(4), io.BytesIO()
    image.save(file, "GIF", **({} if transparent is None else {"transparency": transparent}))
    return file.getvalue()


def test_palette_with_a_transparent_color_is_transparent(alice, image_host):
    image_host.answers["/a.gif"] = answer(200, palette(0))
    assert alice.request(img_url=image_host.url("/a.gif"), is_remove_bg=False)


@pytest.mark.parametrize(
    ("image", "code", "reason"),
    [
        (png(product()), 1001, "is_remove_bg: the image of img_url has no transparent background"),
        (png(product().convert("RGBA")), 1001, "is_remove_bg: the image of img_url has no transparent"),
        (palette(None), 1001, "is_remove_bg: the image of img_url has no transparent background"),
        (png(Image.new("RGBA", (96, 64))), 1002, "img_url: the image is transparent everywhere."),
    ],
)
def test_image_that_does_not_tell_where_the_product_is_creates_no_job(alice, image_host, image, code, reason):
    image_host.answers["/a.png"] = answer(200, image)
    refused = alice.refusal(img_url=image_host.url("/a.png"), is_remove_bg=False)
    assert (refused[0], refused[1].startswith(reason)) == (code, True), refused


@pytest.mark.parametrize(("level", "reason"), [(0, "black everywhere"), (255, "white everywhere")])
def test_mask_that_does_not_tell_where_the_product_is_creates_no_job(alice, image_host, level, reason):
    image_host.answers["/a.png"] = answer(200, png(Image.new("L", (96, 64), level)))
    code, message = alice.refusal(mask_url=image_host.url("/a.png"))
    assert (code, message.startswith("mask_url: "), reason in message) == (1002, True, True)


@pytest.mark.field("smzdm_change_background", "width", "height")
@pytest.mark.parametrize(
    ("fields", "generated", "output"),
    [
        ({}, (104, 72), (101, 70)),
        ({"width": 0, "height": "0"}, (104, 72), (101, 70)),
        ({"width": 200, "height": "121"}, (200, 120), (200, 121)),
        ({"width": 300}, (304, 72), (300, 70)),
    ],
)
def test_size_0_keeps_the_images_size_and_others_are_exact(alice, image_host, fields, generated, output):
    image_host.answers["/product.png"] = answer(200, png(product((101, 70))))
    request = alice.request(**fields)
    part = request.change_background
    assert ((request.width, request.height), (part.output_width, part.output_height)) == (generated, output)


def test_size_is_measured_after_the_exif_orientation(alice, image_host):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = product((96, 64))
    image.save(file := io.BytesIO(), "JPEG", exif=exif)
    image_host.answers["/product.png"] = answer(200, file.getvalue())
    part = alice.request().change_background
    assert (part.output_width, part.output_height) == (64, 96)


@pytest.mark.field("smzdm_change_background", "batch_size", "steps", "mast_expend_num")
def test_numbers_may_be_strings(alice):
    request = alice.request(batch_size="3", steps=" 11 ", mast_expend_num="-5")
    assert (request.num_images, request.batch_size, request.num_inference_steps) == (3, 3, 11)
    assert request.change_background.mask_expansion == -5
    default = alice.request()
    assert (default.num_images, default.num_inference_steps) == (1, 25)
    assert default.change_background.mask_expansion == -2


@pytest.mark.field("smzdm_change_background", "sd_model_checkpoint")
def test_checkpoint_is_found_by_an_alias(alice, checkpoint):
    checkpoint.aliases = ["majicmixRealistic_v7.safetensors"]
    checkpoint.save()
    assert alice.request(sd_model_checkpoint="majicmixRealistic_v7.safetensors").checkpoint == "shapes"
    assert alice.request().checkpoint == "shapes"


@pytest.mark.field("smzdm_change_background", "sd_lora_name", "sd_lora_weight")
@pytest.mark.parametrize(
    ("names", "weights"),
    [
        (["a.safetensors", "b"], [0.8, 1]),
        ('["a.safetensors", "b"]', "[0.8, 1]"),
        ("a.safetensors,b", "0.8, 1"),
        (["a.safetensors", "b"], ["0.8", "1"]),
    ],
)
def test_loras_may_be_lists_json_or_comma_separated(alice, names, weights):
    for name in "ab":
        register(Kind.LORA, name, f"loras/{name}.safetensors")
    request = alice.request(sd_lora_name=names, sd_lora_weight=weights)
    assert [(use.name, use.unet, use.text_encoder) for use in request.loras] == [
        ("a.safetensors", 0.8, 0.8),
        ("b", 1.0, 1.0),
    ]


# ControlNet


def units(request):
    return [(control.model, control.module, control.image) for control in request.controls]


@pytest.mark.field("smzdm_change_background", "is_controlnet")
def test_default_controlnet_is_used_unless_disabled(alice, lineart):
    assert units(alice.request()) == [("control_v11p_sd15_lineart", "lineart_standard", None)]
    assert (
        units(alice.request(is_controlnet="True"))
        == units(alice.request(is_controlnet=1))
        == units(alice.request())
    )
    assert units(alice.request(is_controlnet="False")) == units(alice.request(is_controlnet=0)) == []


def test_lineart_network_is_preferred_if_its_weights_are_registered(alice, lineart):
    register(Kind.PREPROCESSOR, "sk_model", "preprocessors/sk_model.pth")
    assert units(alice.request()) == [("control_v11p_sd15_lineart", "lineart", None)]


@pytest.mark.field("smzdm_change_background", "control_model")
def test_preprocessor_follows_from_the_models_name(alice):
    register(
        Kind.CONTROLNET, "edges", "controlnet/atelier-canny.safetensors", aliases=["control_v11p_sd15_x.pth"]
    )
    assert units(alice.request(control_model="control_v11p_sd15_x.pth")) == [("edges", "canny", None)]


def test_missing_default_controlnet_is_left_out_with_a_note(alice):
    job = alice.job()
    assert job.generation_request.controls == ()
    assert "without ControlNet" in Transition.objects.get(job=job).note


@pytest.mark.parametrize("fields", [{"is_controlnet": "True"}, {"control_model": "unknown.pth"}])
def test_missing_controlnet_is_refused_if_it_is_requested(alice, fields):
    code, message = alice.refusal(**fields)
    assert code == 1003
    assert "control_model" in message


def test_default_controlnet_of_another_family_is_left_out(alice, lineart):
    lineart.family = "sdxl"
    lineart.save()
    assert units(alice.request()) == []


def test_controlnet_without_a_preprocessor_is_refused_with_its_name(alice):
    register(Kind.CONTROLNET, "openpose", "controlnet/openpose.pth")
    code, message = alice.refusal(control_model="openpose")
    assert code == 1007
    assert "openpose_full" in message


# Backends


@pytest.mark.field("smzdm_change_background", "api_type")
def test_backend_that_no_runner_offers_is_refused_before_images_are_fetched(alice, shop, image_host):
    shop.comfyui_by_pipeline = False
    shop.save()
    code, message = alice.refusal(api_type="comfyui")
    assert code == 1007
    assert "no runner offers the backend comfyui" in message
    assert image_host.asked == []


def test_pipeline_replaces_comfyui_if_the_source_allows_it_with_a_note(alice):
    job = alice.job(api_type="comfyui", is_controlnet=0)
    assert job.backend == "pipeline"
    assert Transition.objects.get(job=job).note == "comfyui was requested; the pipeline is used instead"


def test_comfyui_job_waits_for_a_comfyui_runner(
    alice, image_host, runner, fake_runner, work, workflow_templates
):
    runner.pk, runner.name, runner.backend = None, "comfy", "comfyui"
    runner.save(force_insert=True)
    runner.own_files.set(ModelFile.objects.all())
    job = alice.job(api_type="comfyui", mask_url=image_host.url("/mask.png"))
    assert (job.backend, job.workflow.name) == ("comfyui", "change_background")
    work()  # the pipeline's worker
    job.refresh_from_db()
    assert job.state == "queued"


def test_pipeline_without_a_runner_is_refused(alice, runner):
    runner.enabled = False
    runner.save()
    assert alice.refusal()[0] == 1007
