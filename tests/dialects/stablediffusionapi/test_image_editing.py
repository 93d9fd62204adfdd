"""Image editing of v5 and v6: the GenerationRequest of each tool, its refusals, and its responses."""

import io

import numpy as np
import pytest
from PIL import Image

from gpu_runner.protocol.request_parts.backgrounds import AlphaMatting, CutOut
from gpu_runner.protocol.request_parts.passes import MagicMix
from jobs.images.storage import read_input
from jobs.models import Job
from models_registry.models import Kind, WorkflowRule
from tests.dialects.stablediffusionapi.conftest import data_uri, png
from tests.support.comfyui_rows import edit_template
from tests.support.web_server import answer

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

WHITE = data_uri(png(color="white"))


def half_white() -> bytes:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 32, 64))
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def matting(model):
    return model(Kind.MATTING, "u2netp")


@pytest.fixture
def instruct(model):
    return model(Kind.CHECKPOINT, "instruct", instruct=True)


@pytest.fixture
def canny(model):
    return model(Kind.CONTROLNET, "control_canny")


def submitted(caller, path, **body):
    """The GenerationRequest of a request that has only the fields in ``body``."""
    response = caller.call(path, **body)
    assert response["status"] == "processing", response
    return Job.objects.get(external_id=str(response["id"])).generation_request


def refused(caller, path, **body):
    response = caller.post(path, **body).json()
    assert response["status"] == "error", response
    assert not Job.objects.exists()
    return response["message"]


def stored(reference):
    return Image.open(io.BytesIO(read_input(reference.sha256)))


EDITIONS = ["v5", "v6/image_editing"]


@pytest.mark.parametrize("folder", EDITIONS)
def test_removebg_mask_cuts_the_subject_out(alice, matting, red, folder):
    request = submitted(alice, f"{folder}/removebg_mask", image=red, seed=None)
    assert (request.task, request.num_images) == ("cut_out", 1)
    assert request.cut_out == CutOut(matting_model="u2netp")


def test_removebg_mask_has_all_options_of_the_vendor(alice, matting, red):
    request = submitted(
        alice,
        "v6/image_editing/removebg_mask",
        image=red,
        alpha_matting=True,
        alpha_matting_foreground_threshold=200,
        post_process_mask="true",
        only_mask="yes",
        inverse_mask=True,
    )
    assert request.cut_out == CutOut(
        matting_model="u2netp",
        mask_only=True,
        invert=True,
        post_process_mask=True,
        alpha_matting=AlphaMatting(foreground_threshold=200, background_threshold=20, erode_size=5),
    )


def test_removebg_mask_takes_several_urls(alice, matting, web):
    web.answers["/blue.png"] = answer(200, png(color="blue"))
    image = f"{web.url('/red.png')},{web.url('/blue.png')}"
    request = submitted(alice, "v5/removebg_mask", image=image)
    assert (request.num_images, len(request.init_images)) == (2, 2)
    too_many = ",".join([web.url("/red.png")] * 5)
    message = alice.call("v5/removebg_mask", image=too_many)["message"]
    assert message == {"image": ["The image must not have more than 4 items."]}


def test_removebg_mask_without_a_matting_model_names_the_file(alice, red):
    assert "u2netp.onnx" in str(refused(alice, "v5/removebg_mask", image=red))


@pytest.mark.parametrize("name", ["init_image", "url"])
def test_image_is_taken_under_the_names_of_other_endpoints(alice, matting, red, name):
    assert submitted(alice, "v5/removebg_mask", **{name: red}).init_images


@pytest.mark.parametrize(("folder", "is_one"), [("v5", True), ("v6/image_editing", False)])
def test_super_resolution_upscales(alice, red, work, folder, is_one):
    response = alice.call(f"{folder}/super_resolution", init_image=red, scale=3)
    request = Job.objects.get().generation_request
    assert (request.task, request.upscale.scale) == ("upscale", 3)
    work()
    output = alice.call(f"{folder}/fetch/{response['id']}")["output"]
    assert isinstance(output, str) is is_one


@pytest.mark.parametrize("folder", EDITIONS)
def test_inpaint_has_the_defaults_of_image_editing(alice, red, folder):
    body = {"prompt": "a cat", "init_image": data_uri(png(200, 104)), "mask_image": WHITE}
    request = submitted(alice, f"{folder}/inpaint", **body)
    assert (request.width, request.height) == (200, 104)
    assert (request.num_inference_steps, request.guidance_scale, request.strength) == (30, 5, 0.7)
    assert read_input(request.inpaint.mask.sha256) == png(color="white")


@pytest.mark.parametrize("folder", EDITIONS)
def test_object_removal_repaints_the_mask_with_its_surroundings(alice, red, folder):
    request = submitted(alice, f"{folder}/object_removal", init_image=red, mask_image=data_uri(half_white()))
    part = request.change_background
    assert (part.content, part.mask_invert, part.mask_expansion) == ("fill", True, -4)
    assert (part.output_width, part.output_height, request.strength) == (64, 64, 1)
    assert request.prompt == ""


@pytest.mark.parametrize("color", ["white", "black"])
def test_object_removal_refuses_a_mask_that_marks_nothing_or_everything(alice, red, color):
    message = refused(alice, "v5/object_removal", init_image=red, mask_image=data_uri(png(color=color)))
    assert f"{color} everywhere" in str(message)


@pytest.mark.parametrize(
    ("walk", "white"),
    [
        (["left"], (0, 0, 8, 64)),
        (["right", "right"], (48, 0, 64, 64)),
        (["up"], (0, 0, 64, 8)),
        ("down,down,down", (0, 40, 64, 64)),
    ],
)
def test_outpaint_walks_into_the_direction(alice, red, walk, white):
    body = {"width_translation_per_step": 8, "height_translation_per_step": 8, "as_video": "no"}
    request = submitted(alice, "v5/outpaint", image=red, prompt="x", walk_type=walk, **body)
    mask, canvas = stored(request.change_background.mask), stored(request.init_images[0])
    assert mask.getbbox() == white
    assert canvas.crop(white).getextrema() == ((0, 0),) * 3
    assert canvas.getextrema()[0] == (0, 255)


@pytest.mark.parametrize("walk", [["backward"], ["back"], None])
def test_outpaint_backward_adds_a_margin_at_every_side(alice, red, walk):
    body = {"width_translation_per_step": 8, "height_translation_per_step": 4}
    request = submitted(alice, "v5/outpaint", image=red, prompt="x", walk_type=walk, **body)
    mask = np.asarray(stored(request.change_background.mask))
    assert (mask[4:60, 8:56] == 0).all()
    assert mask[:4].min() == mask[60:].min() == mask[:, :8].min() == mask[:, 56:].min() == 255


def test_outpaint_translates_by_a_factor_unless_both_distances_are_given(alice, red):
    body = {"image": red, "prompt": "x", "walk_type": ["left"], "translation_factor": 0.25}
    mask = stored(submitted(alice, "v5/outpaint", **body).change_background.mask)
    assert mask.getbbox() == (0, 0, 16, 64)
    distances = {"width_translation_per_step": 8, "height_translation_per_step": 8}
    mask = stored(submitted(alice, "v5/outpaint", **body, **distances).change_background.mask)
    assert mask.getbbox() == (0, 0, 8, 64)


def test_outpaint_has_the_requested_size(alice, red):
    request = submitted(alice, "v5/outpaint", image=red, prompt="x", width=128, height=96)
    part = request.change_background
    assert (part.output_width, part.output_height) == (128, 96)
    assert stored(request.init_images[0]).size == (128, 96)


@pytest.mark.parametrize(
    ("body", "field", "text"),
    [
        ({"walk_type": ["left", "right"]}, "image", "fills the whole frame"),
        ({"walk_type": ["left"] * 8, "translation_factor": 0.2}, "image", "nothing of it is left"),
        ({"walk_type": ["forward"]}, "walk_type", "must have items of: left, right"),
        ({"as_video": "yes"}, "as_video", "videos are not available"),
        ({"translation_factor": 0.6}, "translation_factor", "must not be greater than 0.5"),
    ],
)
def test_impossible_walks_are_refused(alice, red, body, field, text):
    message = refused(alice, "v5/outpaint", image=red, prompt="x", **body)
    assert list(message) == [field]
    assert text in message[field][0]


def test_outpaint_of_v6_puts_the_image_into_the_middle(alice):
    body = {"image": data_uri(png(64, 64)), "width": 256, "height": 128, "overlap_width": 12}
    request = submitted(alice, "v6/image_editing/outpaint", **body)
    part = request.change_background
    mask = np.asarray(stored(part.mask))
    assert mask.shape == (128, 256)
    assert (mask[:, 64:192] == 0).all()
    assert mask[:, :64].min() == mask[:, 192:].min() == 255
    assert part.mask_expansion == -12
    assert (request.prompt, request.negative_prompt) == ("high quality", "low quality")
    assert (request.num_inference_steps, request.guidance_scale) == (10, 8)


def test_outpaint_of_v6_has_the_documented_size(alice, red):
    part = submitted(alice, "v6/image_editing/outpaint", image=red).change_background
    assert (part.output_width, part.output_height) == (1280, 720)
    message = alice.post("v6/image_editing/outpaint", image=red, width=1441).json()["message"]
    assert message == "The width must not be greater than 1440."


def test_outpaint_of_v6_walks_too(alice, red):
    body = {"walk_type": ["left"], "width_translation_per_step": 8, "height_translation_per_step": 8}
    request = submitted(alice, "v6/image_editing/outpaint", image=red, **body)
    assert stored(request.change_background.mask).getbbox() == (0, 0, 8, 64)


def test_outpaint_above_the_sources_limit_names_the_field(alice, red, source):
    source.max_width = 1024
    source.save()
    message = refused(alice, "v6/image_editing/outpaint", image=red)
    assert message == "width must be at most 1024 for shop (got 1280)."


def test_mixture_canvas_puts_the_image_at_its_position(alice, red):
    box = {"pos_x1": 16, "pos_x2": 80, "pos_y1": 0, "pos_y2": 64}
    request = submitted(alice, "v5/mixture_canvas", image=red, prompt="x", width=128, height=64, **box)
    mask = np.asarray(stored(request.change_background.mask))
    assert (mask[:, 16:80] == 0).all()
    assert mask[:, :16].min() == mask[:, 80:].min() == 255


def test_mixture_canvas_without_a_position_is_in_the_middle(alice, red):
    mask = np.asarray(
        stored(submitted(alice, "v5/mixture_canvas", image=red, prompt="x").change_background.mask)
    )
    assert mask.shape == (360, 800)
    assert (mask[:, 220:580] == 0).all()


def test_mixture_canvas_refuses_a_position_outside_of_it(alice, red):
    message = refused(alice, "v5/mixture_canvas", image=red, prompt="x", pos_x1=9, pos_x2=900)
    assert message == {"pos_x2": ["pos_x1 must be less than pos_x2, which must be at most 800."]}


def test_pix2pix_edits_by_an_instruct_checkpoint(alice, red, instruct, work):
    response = alice.call("v5/pix2pix", prompt="make it blue", init_image=red, steps=12)
    request = Job.objects.get().generation_request
    assert (request.task, request.checkpoint, request.strength) == ("img2img", "instruct", 1)
    assert (request.image_guidance_scale, request.guidance_scale) == (1, 7)
    assert (request.num_inference_steps, request.prompt) == (12, "make it blue")
    work()
    assert alice.call(f"v5/fetch/{response['id']}")["output"].endswith("/0.png")


def test_pix2pix_without_such_a_checkpoint_is_refused_by_name(alice, red):
    message = refused(alice, "v5/pix2pix", prompt="x", init_image=red)
    assert message == {
        "model_id": ["pix2pix needs an InstructPix2Pix checkpoint, and the registry has none."]
    }


def test_pix2pix_without_such_a_checkpoint_goes_to_the_template_of_a_rule(alice, red):
    rule = WorkflowRule.objects.create(template=edit_template(1), purpose="edit")
    request = submitted(alice, "v5/pix2pix", prompt="make it blue", init_image=red)
    assert (len(request.images), request.checkpoint) == (1, "")
    assert Job.objects.get().workflow == rule.template


def test_pix2pix_with_another_checkpoint_is_refused_by_name(alice, red, instruct):
    message = refused(alice, "v5/pix2pix", prompt="x", init_image=red, model_id="shapes")
    assert message == {
        "image_guidance_scale": [
            "image_guidance_scale is for InstructPix2Pix checkpoints only, and shapes is none."
        ]
    }


def test_instruct_checkpoint_needs_an_init_image_and_is_not_the_default(alice, instruct):
    instruct.created_at = instruct.created_at.replace(year=2000)
    instruct.save()
    message = refused(alice, "v4/dreambooth", prompt="x", model_id="instruct")
    assert message == {"model_id": ["instruct edits by instruction: it needs an init image."]}
    assert alice.request().checkpoint == "shapes"
    rows = alice.call("v4/dreambooth/model_list")
    assert "instruct" in [row["model_id"] for row in rows]


def test_magic_mix_has_the_vendors_defaults(alice, red):
    request = submitted(alice, "v5/magic_mix", prompt="a cat", image=red)
    assert (request.task, request.strength) == ("img2img", 0.5)
    assert request.magic_mix == MagicMix(kmin=0.3, mix_factor=0.5)
    assert (request.width, request.height, request.num_inference_steps) == (768, 768, 20)


def test_magic_mix_refuses_a_kmin_above_kmax(alice, red):
    message = refused(alice, "v5/magic_mix", prompt="a cat", image=red, kmin=0.8, kmax=0.4)
    assert message == {"kmin": ["The kmin must not be greater than the kmax."]}


def test_depth2img_needs_its_files(alice, red, model):
    assert "Model not found: depth" in str(refused(alice, "v5/depth2img", prompt="x", init_image=red))
    model(Kind.CONTROLNET, "control_depth")
    message = str(refused(alice, "v5/depth2img", prompt="x", init_image=red))
    assert "depth_anything_v2 needs the file preprocessors/" in message


def test_depth2img_keeps_the_depth_of_the_image(alice, red, model):
    model(Kind.CONTROLNET, "control_depth")
    model(Kind.PREPROCESSOR, "depth_anything_v2")
    request = submitted(alice, "v5/depth2img", prompt="x", init_image=red)
    (unit,) = request.controls
    assert (request.task, request.strength) == ("img2img", 0.8)
    assert (unit.model, unit.module, unit.image) == (
        "control_depth",
        "depth_anything_v2",
        request.init_images[0],
    )


def test_interior_keeps_the_lines_of_the_room(alice, red, canny):
    request = submitted(
        alice, "v5/interior", prompt="a cozy room", init_image=red, steps=20, guidance_scale=7
    )
    (unit,) = request.controls
    assert (unit.model, unit.module) == ("control_canny", "canny")
    assert (request.num_inference_steps, request.guidance_scale, request.strength) == (20, 7, 0.99)


def test_interior_without_a_controlnet_is_refused_by_name(alice, red):
    assert refused(alice, "v5/interior", prompt="x", init_image=red) == {
        "controlnet_model": ["Model not found: canny"]
    }


def test_prompts_of_image_editing_are_enhanced_on_request_only(alice, red, instruct):
    from models_registry.models import PromptStyle

    PromptStyle.objects.create(name="enhance_prompt", prompt="{prompt}, masterpiece", negative_prompt="")
    body = {"prompt": "make it blue", "init_image": red}
    assert submitted(alice, "v5/pix2pix", **body).prompt == "make it blue"
    assert submitted(alice, "v5/pix2pix", **body, enhance_prompt="yes").prompt == "make it blue, masterpiece"


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ("v5/removebg_mask", ["image"]),
        ("v5/super_resolution", ["init_image"]),
        ("v5/outpaint", ["image", "prompt"]),
        ("v5/mixture_canvas", ["image", "prompt"]),
        ("v5/inpaint", ["init_image", "mask_image", "prompt"]),
        ("v5/object_removal", ["init_image", "mask_image"]),
        ("v5/pix2pix", ["init_image", "prompt"]),
        ("v5/magic_mix", ["image", "prompt"]),
        ("v5/depth2img", ["init_image", "prompt"]),
        ("v5/interior", ["init_image", "prompt"]),
    ],
)
def test_missing_fields_are_named(alice, path, missing):
    assert sorted(refused(alice, path)) == missing


def test_answers_have_the_parameters_in_meta_and_the_fetch_path_of_their_edition(alice, matting, red):
    body = alice.call("v6/image_editing/removebg_mask", image=red, post_process_mask=True, track_id=7)
    job = Job.objects.get()
    assert body["fetch_result"].endswith(f"/api/v6/image_editing/fetch/{body['id']}")
    assert body["output"] == []
    assert body["meta"]["file_prefix"] == str(job.pk)
    assert (body["meta"]["post_process_mask"], body["meta"]["base64"]) == (True, "no")
    walked = alice.call("v5/outpaint", image=red, prompt="x", walk_type=["left"], width=64, height=64, seed=4)
    assert (walked["meta"]["W"], walked["meta"]["seed"], walked["meta"]["walk_type"]) == (64, 4, ["left"])


def test_page_that_is_no_image_is_told(alice, matting, web):
    web.answers["/page"] = answer(200, b"<html>")
    message = alice.call("v5/removebg_mask", image=web.url("/page"))
    assert message["status"] == "error"
    assert message["tip"].startswith("image: ")
