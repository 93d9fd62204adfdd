"""Image tools: their GenerationRequest, and what is refused."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from gpu_runner.protocol.catalogs.preprocessors import MODULES
from jobs.images.storage import read_input
from models_registry.models import Kind
from tests.support.input_images import is_upright, photo
from tests.support.receiving_server import YES
from tests.support.receiving_server import work as call_back
from tests.support.web_server import answer

pytestmark = pytest.mark.slow


@pytest.fixture
def use(alice, web):
    def use(tool, **fields):
        return alice.submit(
            f"tool/{tool}", {"businessTaskId": "t", "sourceImage": web.url("/wide.png"), **fields}
        )

    return use


def opened(reference):
    return Image.open(io.BytesIO(read_input(reference.sha256)))


def test_tool_is_a_job_with_its_own_query(alice, client, use, work):
    job = use("enlarge")
    assert (job.operation, job.external_id) == ("tool/enlarge", "t")
    waiting = alice.task("t", "tool/enlarge/queryTask")
    assert (waiting["status"], waiting["outputImageUrl"]) == (1, None)
    work()
    task = alice.task("t", "tool/enlarge/queryTask")
    (url,) = task.pop("outputImageUrls")
    assert task == {
        "taskId": str(job.pk),
        "businessTaskId": "t",
        "status": 2,
        "desc": "任务成功 !",
        "outputImageUrl": url,
    }
    assert client.get(url)["Content-Type"] == "image/png"


def test_task_of_a_tool_is_not_found_by_other_queries(alice, use):
    use("watermark/add", watermarkText="a")
    assert alice.task("t", "tool/watermark/add/queryTask")["status"] == 1
    for path in ("tool/enlarge/queryTask", "sd/v2/queryTaskInfo", "sd/queryTaskInfo"):
        assert alice.post(path, {"businessTaskId": "t"})["code"] == "400"


def test_callback_has_the_body_of_the_tools_query(alice, use, web, work):
    web.answers["/done"] = YES
    use("enlarge", callbackUrl=web.url("/done"))
    work()
    call_back()
    assert json.loads(web.asked[-1].body)["data"] == alice.task("t", "tool/enlarge/queryTask")


def test_enlarge_takes_a_factor_or_a_size(use):
    upscale = use("enlarge", scale="3").generation_request.upscale
    assert (upscale.scale, upscale.upscaler, upscale.width) == (3, "Lanczos", 0)
    upscale = use("enlarge", width=200, height=100, upscaler="Nearest").generation_request.upscale
    assert (upscale.width, upscale.height, upscale.upscaler) == (200, 100, "Nearest")


def test_super_resolution_uses_a_registered_model(use, register):
    assert use("superResolution").generation_request.upscale.upscaler == "Lanczos"
    register(Kind.UPSCALER, "upscalers/esrgan.pth")
    assert use("superResolution").generation_request.upscale.upscaler == "esrgan"


def test_watermark_only_adds_a_label(use):
    request = use(
        "watermark/add", watermarkText="智启", position="top-left", opacity="0.5"
    ).generation_request
    (label,) = request.labels
    assert (label.text, label.corner, label.opacity) == ("智启", "top-left", 0.5)
    assert (request.task, request.upscale.scale, request.upscale.upscaler) == ("upscale", 1, "None")


def test_img_expand_centers_the_image_on_a_larger_canvas(use):
    request = use(
        "imgExpand", horizontalExpansionRatio=2, verticalExpansionRatio=1.5, prompt="sky", imageCount=2,
        sampleStep=12, sampler="Euler", promptGuideFactor=6, seed=3,
    ).generation_request  # fmt: skip
    part, canvas = request.change_background, opened(request.init_images[0])
    assert (part.output_width, part.output_height, canvas.size) == (192, 72, (192, 72))
    mask = np.asarray(opened(part.mask))
    assert not mask[12:60, 48:144].any()
    assert mask.sum() == 255 * (192 * 72 - 96 * 48)
    assert (np.asarray(canvas)[12:60, 48:144] == (0, 0, 255)).all()
    assert (request.prompt, request.num_images, request.num_inference_steps) == ("sky", 2, 12)
    assert (request.sampler, request.guidance_scale, request.seed) == ("Euler", 6, 3)


def test_erase_generates_the_white_part_of_the_mask(use, web):
    request = use("erase", maskImage=web.url("/mask.png"), prompt="grass").generation_request
    part = request.change_background
    assert part.mask_invert
    assert (part.output_width, part.output_height) == (96, 48)
    assert request.prompt == "grass"


def test_remove_generates_what_has_letters(use, register):
    register(Kind.TEXT_DETECTOR, "text_detection/ppocr.onnx")
    job = use("watermark/remove", prompt="grass", seed=4)
    part = job.generation_request.change_background
    assert (part.cut_out_by, part.text_detector, part.mask) == ("letters", "ppocr", None)
    assert (part.mask_expansion, part.content) == (-4, "fill")
    assert (part.output_width, part.output_height) == (96, 48)
    assert (job.generation_request.prompt, job.generation_request.seed) == ("grass", 4)
    assert "text_detector:ppocr" in job.files


def test_rembg_cuts_out_the_foreground_or_returns_its_mask(use, register):
    register(Kind.MATTING, "matting/u2netp.onnx")
    request = use("rembg").generation_request
    assert (request.task, request.output_format) == ("cut_out", "png")
    assert (request.cut_out.matting_model, request.cut_out.mask_only) == ("u2netp", False)
    assert use("rembg", maskOnly="true", targetImageFormat="jpg").generation_request.cut_out.mask_only


def test_control_preview_returns_the_map_of_a_preprocessor(use):
    request = use("cnt/preview", preprocessor="canny", threshold_a=60).generation_request
    (unit,) = request.controls
    assert (request.task, unit.module, unit.model) == ("control_map", "canny", "")
    assert (unit.threshold_a, unit.threshold_b, unit.processor_res) == (60, None, None)


def test_face_restore_keeps_the_size(use, face_models):
    request = use("faceRestore").generation_request
    assert (request.task, request.upscale.scale, request.upscale.upscaler) == ("upscale", 1, "None")
    assert request.face_restoration.model == "GFPGANv1.4"


@pytest.mark.parametrize(
    ("tool", "fields", "message"),
    [
        ("imgExpand", {}, "must be greater than 1"),
        ("imgExpand", {"verticalExpansionRatio": 5}, "verticalExpansionRatio: "),
        (
            "imgExpand",
            {"verticalExpansionRatio": 2, "sampler": "Magic"},
            "sampler: unknown sampler Magic",
        ),
        ("imgExpand", {"verticalExpansionRatio": 2, "imageCount": 17}, "imageCount"),
        ("erase", {}, "maskImage: Field required"),
        ("enlarge", {"upscaler": "Magic"}, "Magic"),
        ("enlarge", {"scale": 9}, "scale: "),
        ("watermark/add", {}, "watermarkText: Field required"),
        ("watermark/add", {"watermarkText": "a", "position": "middle"}, "position: "),
        ("rembg", {}, "the registry has none"),
        ("watermark/remove", {}, "python manage.py install_text_detector"),
        ("watermark/remove", {"sampleStep": 51}, "sampleStep: "),
        ("rembg", {"targetImageFormat": "jpg"}, "targetImageFormat must be png"),
        ("cnt/preview", {}, "preprocessor: Field required"),
        ("cnt/preview", {"preprocessor": "magic"}, "preprocessor: unknown preprocessor magic"),
        ("cnt/preview", {"preprocessor": "mlsd"}, "preprocessor: mlsd is not supported"),
        ("cnt/preview", {"preprocessor": "openpose"}, "python manage.py install_pose_models"),
        ("cnt/preview", {"preprocessor": "hed"}, "ControlNetHED"),
        ("faceRestore", {}, "GFPGANv1.4.pth in the folder face_restoration"),
        ("roop", {}, "forbid commercial use"),
        ("instantID", {}, "forbid commercial use"),
        ("hair/change", {}, "non-commercial use only"),
        ("nothing", {}, "Not Found"),
    ],
)
def test_invalid_use_of_a_tool_is_refused_with_its_reason(alice, web, tool, fields, message):
    body = {"businessTaskId": "t", "sourceImage": web.url("/wide.png"), **fields}
    assert message in alice.refused(f"tool/{tool}", body)


def test_expansion_beyond_the_largest_size_is_refused(alice, web):
    buffer = io.BytesIO()
    Image.new("RGB", (2000, 8)).save(buffer, "PNG")
    web.answers["/strip.png"] = answer(200, buffer.getvalue())
    body = {"businessTaskId": "t", "sourceImage": web.url("/strip.png"), "horizontalExpansionRatio": 4}
    assert "would be too large: 8000x8" in alice.refused("tool/imgExpand", body)


def test_img_expand_draws_around_the_photo_as_a_viewer_shows_it(use, web):
    web.answers["/photo"] = answer(200, photo(96, 48))
    request = use("imgExpand", sourceImage=web.url("/photo"), horizontalExpansionRatio=2).generation_request
    canvas = opened(request.init_images[0])
    assert canvas.size == (192, 48)
    assert is_upright(canvas.crop((48, 0, 144, 48)))


def test_erase_keeps_the_size_of_the_photo(use, web):
    web.answers["/photo"] = answer(200, photo(96, 48))
    request = use("erase", sourceImage=web.url("/photo"), maskImage=web.url("/mask.png")).generation_request
    part = request.change_background
    assert (part.output_width, part.output_height) == (96, 48)


def test_preview_of_every_module_is_a_job_or_refused_with_the_reason_of_the_catalog(
    alice, web, source, register
):
    source.max_queued_jobs = len(MODULES)
    source.save()
    for weights in {module.weights for module in MODULES.values() if module.weights}:
        register(Kind.PREPROCESSOR, f"preprocessors/{weights}.pth")
    for name, module in MODULES.items():
        body = {"businessTaskId": name, "sourceImage": web.url("/wide.png"), "preprocessor": name}
        if module.refused:
            assert module.refused in alice.refused("tool/cnt/preview", body)
        elif name == "inpaint_only":
            assert "needs a mask" in alice.refused("tool/cnt/preview", body)
        else:
            assert alice.submit("tool/cnt/preview", body).generation_request.controls[0].module == name
