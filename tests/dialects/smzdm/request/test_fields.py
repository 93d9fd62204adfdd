"""What each field of change_background makes of the canonical request."""

import io

import pytest
from PIL import Image

from jobs.models import Transition
from models_registry.models import Kind, ModelFile
from tests.dialects.smzdm.conftest import png, product, register
from tests.support.web_server import answer


@pytest.mark.field("smzdm_change_background", "img_url", "prompt", "negative_prompt")
def test_the_picture_and_the_words_are_the_requests(alice):
    asked = alice.asks(prompt="green theme", negative_prompt="people")
    assert (asked.prompt, asked.negative_prompt, asked.task) == ("green theme", "people", "change_background")
    assert len(asked.init_images) == 1
    assert asked.strength == 1.0


def test_there_is_a_negative_prompt_of_its_own(alice):
    assert "watermark" in alice.asks().negative_prompt
    assert alice.asks(negative_prompt="").negative_prompt == alice.asks().negative_prompt


@pytest.mark.field("smzdm_change_background", "mask_url")
def test_a_mask_takes_the_place_of_the_matting(alice, pictures):
    masked, plain = alice.asks(mask_url=pictures.url("/mask.png")), alice.asks()
    assert (masked.change_background.mask is None, plain.change_background.mask is None) == (False, True)
    assert masked.change_background.matting_model == ""
    assert plain.change_background.matting_model == "u2netp"


@pytest.mark.field("smzdm_change_background", "is_remove_bg")
@pytest.mark.parametrize(
    ("said", "by"),
    [("True", "matting"), ("False", "transparency"), (0, "transparency"), (True, "matting"), ("", "matting")],
)
def test_a_picture_that_is_cut_out_already_goes_by_its_transparency(alice, said, by):
    assert alice.asks(is_remove_bg=said).change_background.cut_out_by == by


@pytest.mark.field("smzdm_change_background", "width", "height")
@pytest.mark.parametrize(
    ("said", "drawn", "finished"),
    [
        ({}, (104, 72), (101, 70)),
        ({"width": 0, "height": "0"}, (104, 72), (101, 70)),
        ({"width": 200, "height": "121"}, (200, 120), (200, 121)),
        ({"width": 300}, (304, 72), (300, 70)),
    ],
)
def test_0_keeps_the_originals_size_and_others_are_exact(alice, pictures, said, drawn, finished):
    pictures.answers["/product.png"] = answer(200, png(product((101, 70))))
    asked = alice.asks(**said)
    part = asked.change_background
    assert ((asked.width, asked.height), (part.output_width, part.output_height)) == (drawn, finished)


def test_a_photograph_taken_upright_is_measured_upright(alice, pictures):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = product((96, 64))
    picture.save(file := io.BytesIO(), "JPEG", exif=exif)
    pictures.answers["/product.png"] = answer(200, file.getvalue())
    part = alice.asks().change_background
    assert (part.output_width, part.output_height) == (64, 96)


@pytest.mark.field("smzdm_change_background", "batch_size", "steps", "mast_expend_num")
def test_numbers_come_as_numbers_and_as_text(alice):
    asked = alice.asks(batch_size="3", steps=" 11 ", mast_expend_num="-5")
    assert (asked.num_images, asked.batch_size, asked.num_inference_steps) == (3, 3, 11)
    assert asked.change_background.mask_expansion == -5
    default = alice.asks()
    assert (default.num_images, default.num_inference_steps) == (1, 25)
    assert default.change_background.mask_expansion == -2


@pytest.mark.field("smzdm_change_background", "sd_model_checkpoint")
def test_the_checkpoint_answers_to_its_other_names(alice, checkpoint):
    checkpoint.aliases = ["majicmixRealistic_v7.safetensors"]
    checkpoint.save()
    assert alice.asks(sd_model_checkpoint="majicmixRealistic_v7.safetensors").checkpoint == "shapes"
    assert alice.asks().checkpoint == "shapes"


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
def test_loras_come_as_lists_as_json_text_and_with_commas(alice, names, weights):
    for name in "ab":
        register(Kind.LORA, name, f"loras/{name}.safetensors")
    asked = alice.asks(sd_lora_name=names, sd_lora_weight=weights)
    assert [(use.name, use.unet, use.text_encoder) for use in asked.loras] == [
        ("a.safetensors", 0.8, 0.8),
        ("b", 1.0, 1.0),
    ]


# ControlNet


def unit(asked):
    return [(control.model, control.module, control.image) for control in asked.controls]


@pytest.mark.field("smzdm_change_background", "is_controlnet")
def test_the_products_lines_are_kept_unless_somebody_says_no(alice, lineart):
    assert unit(alice.asks()) == [("control_v11p_sd15_lineart", "lineart_standard", None)]
    assert unit(alice.asks(is_controlnet="True")) == unit(alice.asks(is_controlnet=1)) == unit(alice.asks())
    assert unit(alice.asks(is_controlnet="False")) == unit(alice.asks(is_controlnet=0)) == []


def test_the_network_for_lines_is_preferred_where_its_weights_are(alice, lineart):
    register(Kind.PREPROCESSOR, "sk_model", "preprocessors/sk_model.pth")
    assert unit(alice.asks()) == [("control_v11p_sd15_lineart", "lineart", None)]


@pytest.mark.field("smzdm_change_background", "control_model")
def test_the_module_is_the_one_that_the_network_was_trained_on(alice):
    register(
        Kind.CONTROLNET, "edges", "controlnet/atelier-canny.safetensors", aliases=["control_v11p_sd15_x.pth"]
    )
    assert unit(alice.asks(control_model="control_v11p_sd15_x.pth")) == [("edges", "canny", None)]


def test_without_any_controlnet_the_default_is_skipped_with_a_note(alice):
    job = alice.job()
    assert job.generation_request.controls == ()
    assert "without a ControlNet" in Transition.objects.get(job=job).note


@pytest.mark.parametrize("said", [{"is_controlnet": "True"}, {"control_model": "nobody.pth"}])
def test_a_controlnet_that_was_asked_for_and_is_not_here_is_refused(alice, said):
    code, message = alice.refusal(**said)
    assert code == 1003
    assert "control_model" in message


def test_a_default_controlnet_of_another_family_is_skipped(alice, lineart):
    lineart.family = "sdxl"
    lineart.save()
    assert unit(alice.asks()) == []


def test_a_controlnet_whose_module_cannot_work_is_refused_by_name(alice):
    register(Kind.CONTROLNET, "openpose", "controlnet/openpose.pth")
    code, message = alice.refusal(control_model="openpose")
    assert code == 1007
    assert "openpose_full" in message


# Backends


@pytest.mark.field("smzdm_change_background", "api_type")
def test_a_backend_that_no_runner_offers_is_refused_at_once_with_the_reason(alice, shop, pictures):
    shop.comfyui_by_pipeline = False
    shop.save()
    code, message = alice.refusal(api_type="comfyui")
    assert code == 1007
    assert "no runner here offers the backend comfyui" in message
    assert pictures.asked == []  # before anybody is asked for a picture


def test_ops_may_let_the_pipeline_draw_for_comfyui_and_the_job_says_so(alice):
    job = alice.job(api_type="comfyui", is_controlnet=0)
    assert job.backend == "pipeline"
    assert Transition.objects.get(job=job).note == "asked for comfyui, drawn by the pipeline"


def test_a_comfyui_job_waits_for_a_comfyui_runner(
    alice, pictures, runner, fake_runner, work, workflow_templates
):
    runner.pk, runner.name, runner.backend = None, "comfy", "comfyui"
    runner.save(force_insert=True)
    runner.own_files.set(ModelFile.objects.all())
    job = alice.job(api_type="comfyui", mask_url=pictures.url("/mask.png"))
    assert (job.backend, job.workflow.name) == ("comfyui", "change_background")
    work()  # the pipeline's worker
    job.refresh_from_db()
    assert job.state == "queued"


def test_without_a_runner_for_the_pipeline_it_is_refused_as_well(alice, runner):
    runner.enabled = False
    runner.save()
    assert alice.refusal()[0] == 1007
