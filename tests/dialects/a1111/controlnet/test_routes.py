"""``/controlnet/*``."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

from gpu_runner.protocol.preprocessor_catalog import MODULES
from jobs.images.storage import read_input
from jobs.models import Job
from models_registry.models import Kind, ModelFile

pytestmark = pytest.mark.slow


@pytest.fixture
def get(alice):
    return lambda name, **query: alice.client.get(f"/controlnet/{name}", query)


@pytest.fixture
def post(alice):
    return lambda name, body: alice.client.post(f"/controlnet/{name}", body, content_type="application/json")


@pytest.fixture
def circle() -> str:
    picture = Image.new("RGB", (128, 96), "white")
    ImageDraw.Draw(picture).ellipse((40, 20, 90, 70), fill="black")
    file = io.BytesIO()
    picture.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def pixels(text: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(text))) as picture:
        return np.asarray(picture.convert("RGB"))


def add(name: str) -> None:
    ModelFile.objects.create(
        kind=Kind.CONTROLNET, name=name, path=f"controlnet/{name}.safetensors", sha256=(name * 64)[:64]
    )


def test_they_need_a_key(client, db) -> None:
    assert client.get("/controlnet/version").status_code == 401


def test_the_small_lists(get) -> None:
    assert get("version").json() == {"version": 3}
    assert get("settings").json() == {"control_net_unit_count": 3}
    assert get("nothing").status_code == 404
    assert get("detect").status_code == 405


def test_models_are_stems_with_eight_digits(get, charlie) -> None:
    add("abc_canny")
    assert get("model_list", update="true").json() == {"model_list": ["abc_canny [abc_cann]"]}


def test_modules_come_in_the_extensions_order_with_their_sliders(get) -> None:
    answer = get("module_list").json()
    assert answer["module_list"][:2] == ["none", "ip-adapter-auto"]
    assert len(answer["module_list"]) == 72
    assert answer["module_detail"]["canny"] == {
        "model_free": False,
        "sliders": [
            {"name": "Resolution", "value": 512, "min": 64, "max": 2048, "step": 8},
            {"name": "Low Threshold", "value": 100, "min": 1, "max": 255, "step": 1},
            {"name": "High Threshold", "value": 200, "min": 1, "max": 255, "step": 1},
        ],
    }
    assert answer["module_detail"]["reference_only"]["model_free"]
    assert answer["module_detail"]["invert"]["sliders"] == []
    labels = get("module_list", alias_names="true").json()["module_list"]
    assert "invert (from white bg & black line)" in labels


def test_types_filter_models_and_modules(get) -> None:
    add("control_v11p_sd15_canny")
    add("my_canny")
    add("control_seg")
    types = get("control_types").json()["control_types"]
    assert len(types) == 21
    assert types["Canny"]["model_list"][0] == "None"
    assert [model.split()[0] for model in types["Canny"]["model_list"][1:]] == [
        "control_v11p_sd15_canny",
        "my_canny",
    ]
    assert types["Canny"]["default_option"] == "canny"
    assert types["Canny"]["default_model"].startswith("control_v11p")
    assert types["Segmentation"]["model_list"][1].startswith("control_seg")
    assert types["Tile"]["default_option"] == "tile_resample"
    assert len(types["All"]["model_list"]) == 4


@pytest.fixture
def detect(post):
    """The job that a request to detect becomes, without waiting for its end."""

    def detect(**body) -> Job:
        response = post("detect", body)
        assert response.status_code == 503, response.content
        return Job.objects.get(pk=response["X-Job-Id"])

    return detect


@pytest.mark.parametrize("name", ["controlnet_input_images", "controlnet_images"])
def test_detect_is_a_job_of_the_task_control_map(detect, circle, name) -> None:
    job = detect(controlnet_module="canny", controlnet_processor_res=96, **{name: [circle, circle]})
    request = job.generation_request
    assert (request.task, request.num_images, len(request.init_images)) == ("control_map", 2, 2)
    (unit,) = request.controls
    assert (unit.module, unit.processor_res) == ("canny", 96)
    assert job.cost_estimate > 0


def test_detect_waits_for_the_maps(post, circle, worker) -> None:
    answer = post("detect", {"controlnet_module": "canny", "controlnet_input_images": [circle] * 2}).json()
    assert answer["info"] == "Success"
    assert [pixels(image).ndim for image in answer["images"]] == [3, 3]
    assert Job.objects.get().state == "succeeded"


def test_result_of_detect_can_be_fetched_later(alice, detect, draw, circle) -> None:
    job = detect(controlnet_module="canny", controlnet_input_images=[circle])
    draw(job)
    answer = alice.result(job)
    assert (answer["info"], len(answer["images"])) == ("Success", 1)


def test_detect_hides_what_a_mask_covers(detect, circle) -> None:
    mask = base64.b64encode(_half_white()).decode()
    job = detect(controlnet_module="inpaint_only", controlnet_input_images=[circle], controlnet_masks=[mask])
    (picture,) = job.generation_request.init_images
    with Image.open(io.BytesIO(read_input(picture.sha256))) as masked:
        drawn = np.asarray(masked)
    assert (drawn[:, :60] == 0).all()
    assert (drawn[:, 100:] == 255).all()


def test_detect_with_a_network_needs_its_file(post, detect, circle) -> None:
    body = {"controlnet_module": "hed", "controlnet_input_images": [circle]}
    response = post("detect", body)
    assert (response.status_code, response.json()["detail"]) == (422, "Module not available")
    ModelFile.objects.create(
        kind=Kind.PREPROCESSOR, name="ControlNetHED", path="preprocessors/ControlNetHED.pth", sha256="1" * 64
    )
    assert detect(**body).files.keys() == {"preprocessor:ControlNetHED"}


def test_detect_beyond_the_limit_of_images_names_its_field(post, circle, source) -> None:
    source.max_images = 1
    source.save()
    response = post("detect", {"controlnet_module": "canny", "controlnet_input_images": [circle] * 2})
    assert response.json()["detail"][0]["loc"] == ["body", "controlnet_input_images"]


def _half_white() -> bytes:
    picture = Image.new("L", (128, 96))
    picture.paste(255, (0, 0, 64, 96))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"controlnet_module": "nonsense"}, "Module not available"),
        ({"controlnet_module": "openpose"}, "Module not available"),
        ({"controlnet_module": "clip_vision"}, "Module not supported"),
        ({"controlnet_module": "canny"}, "No image selected"),
        ({"controlnet_module": "inpaint"}, "Preprocessor inpaint requires `controlnet_masks` param."),
    ],
)
def test_detect_says_what_is_wrong(post, circle, body, detail) -> None:
    images = [] if detail == "No image selected" else [circle]
    response = post("detect", body | {"controlnet_input_images": images})
    assert response.status_code == 422
    assert response.json()["detail"] == detail


def test_detect_takes_the_default_for_a_number_out_of_range(detect, circle) -> None:
    job = detect(
        controlnet_module="canny",
        controlnet_input_images=[circle],
        controlnet_threshold_a=999,
        controlnet_processor_res=-7,
    )
    (unit,) = job.generation_request.controls
    used = MODULES["canny"].settings(unit.processor_res, unit.threshold_a, unit.threshold_b)
    assert used == MODULES["canny"].settings(None, None, None)


def test_detect_of_no_picture_is_the_formats_error(post) -> None:
    response = post("detect", {"controlnet_module": "canny", "controlnet_input_images": ["bm8gcGljdHVyZQ=="]})
    assert response.status_code == 500
    assert response.json()["detail"] == "Invalid encoded image"


def test_poses_are_drawn(post) -> None:
    body = [0.0] * 54
    body[3:6] = [50, 20, 1]
    body[6:9] = [80, 20, 1]
    pose = {"people": [{"pose_keypoints_2d": body}], "canvas_width": 128, "canvas_height": 96}
    answer = post("render_openpose_json", json.dumps([pose])).json()
    drawn = pixels(answer["images"][0])
    assert drawn.shape == (96, 128, 3)
    assert drawn[20, 65].max() > 100
    assert drawn[60:].max() == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ([], 200),
        ([{"people": None, "canvas_width": 64, "canvas_height": 64}], 200),
        ([{"canvas_width": 10**9, "canvas_height": 64}], 422),
        ([7], 422),
        ({"people": []}, 422),
        ([{"people": [{"pose_keypoints_2d": ["x"]}]}], 422),
    ],
)
def test_poses_of_any_kind_get_an_answer(post, body, status) -> None:
    assert post("render_openpose_json", json.dumps(body)).status_code == status


def test_no_pose_is_no_picture(post) -> None:
    assert post("render_openpose_json", "[]").json() == {"info": "No pose data detected."}
