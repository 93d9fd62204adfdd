"""Routes below ``/controlnet``."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

from gpu_runner.protocol import Done, ImageFindings
from gpu_runner.protocol import Image as RunnerImage
from gpu_runner.protocol.catalogs.preprocessors import MODULES
from gpu_runner.protocol.findings import FoundPerson, PosesFound
from gpu_runner.protocol.images.pose_drawing import draw_person
from jobs.execution import lifecycle
from jobs.images.storage import read_input, store_output
from jobs.models import Job
from models_registry.models import Kind, ModelFile
from tests.dialects.a1111.conftest import solid_png
from tests.support.input_images import is_upright, photo

pytestmark = pytest.mark.slow


@pytest.fixture
def get(alice):
    return lambda name, **query: alice.client.get(f"/controlnet/{name}", query)


@pytest.fixture
def post(alice):
    return lambda name, body: alice.client.post(f"/controlnet/{name}", body, content_type="application/json")


@pytest.fixture
def circle() -> str:
    image = Image.new("RGB", (128, 96), "white")
    ImageDraw.Draw(image).ellipse((40, 20, 90, 70), fill="black")
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def pixels(text: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        return np.asarray(image.convert("RGB"))


def add(name: str) -> None:
    ModelFile.objects.create(
        kind=Kind.CONTROLNET, name=name, path=f"controlnet/{name}.safetensors", sha256=(name * 64)[:64]
    )


def test_routes_require_a_key(client, db) -> None:
    assert client.get("/controlnet/version").status_code == 401


def test_version_settings_and_unknown_routes(get) -> None:
    assert get("version").json() == {"version": 3}
    assert get("settings").json() == {"control_net_unit_count": 3}
    assert get("nothing").status_code == 404
    assert get("detect").status_code == 405


def test_model_list_has_file_stems_with_eight_hash_digits(get, charlie) -> None:
    add("abc_canny")
    assert get("model_list", update="true").json() == {"model_list": ["abc_canny [abc_cann]"]}


def test_module_list_has_the_order_and_sliders_of_the_extension(get) -> None:
    result = get("module_list").json()
    assert result["module_list"][:2] == ["none", "ip-adapter-auto"]
    assert len(result["module_list"]) == 72
    assert result["module_detail"]["canny"] == {
        "model_free": False,
        "sliders": [
            {"name": "Resolution", "value": 512, "min": 64, "max": 2048, "step": 8},
            {"name": "Low Threshold", "value": 100, "min": 1, "max": 255, "step": 1},
            {"name": "High Threshold", "value": 200, "min": 1, "max": 255, "step": 1},
        ],
    }
    assert result["module_detail"]["reference_only"]["model_free"]
    assert result["module_detail"]["invert"]["sliders"] == []


def test_module_details_have_the_keys_of_the_list(get) -> None:
    by_name, by_label = (get("module_list", alias_names=labels).json() for labels in ("false", "true"))
    assert list(by_name["module_detail"]) == by_name["module_list"]
    assert list(by_label["module_detail"]) == by_label["module_list"]
    label = "invert (from white bg & black line)"
    assert by_label["module_detail"][label] == by_name["module_detail"]["invert"]


def test_control_types_filter_models_and_modules(get) -> None:
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
    """Post a detect request without waiting for its result, and return its job."""

    def detect(**body) -> Job:
        response = post("detect", body)
        assert response.status_code == 503, response.content
        return Job.objects.get(pk=response["X-Job-Id"])

    return detect


@pytest.mark.parametrize("name", ["controlnet_input_images", "controlnet_images"])
def test_detect_creates_a_job_of_the_task_control_map(detect, circle, name) -> None:
    job = detect(controlnet_module="canny", controlnet_processor_res=96, **{name: [circle, circle]})
    request = job.generation_request
    assert (request.task, request.num_images, len(request.init_images)) == ("control_map", 2, 2)
    (unit,) = request.controls
    assert (unit.module, unit.processor_res) == ("canny", 96)
    assert job.cost_estimate > 0


def test_detect_returns_the_maps(post, circle, worker) -> None:
    result = post("detect", {"controlnet_module": "canny", "controlnet_input_images": [circle] * 2}).json()
    assert result["info"] == "Success"
    assert [pixels(image).ndim for image in result["images"]] == [3, 3]
    assert Job.objects.get().state == "succeeded"


def test_result_of_detect_can_be_fetched_later(alice, detect, complete, circle) -> None:
    job = detect(controlnet_module="canny", controlnet_input_images=[circle])
    complete(job)
    result = alice.result(job)
    assert (result["info"], len(result["images"])) == ("Success", 1)


def test_detect_blackens_the_masked_area(detect, circle) -> None:
    mask = base64.b64encode(_half_white()).decode()
    job = detect(controlnet_module="inpaint_only", controlnet_input_images=[circle], controlnet_masks=[mask])
    (init_image,) = job.generation_request.init_images
    with Image.open(io.BytesIO(read_input(init_image.sha256))) as masked:
        stored = np.asarray(masked)
    assert (stored[:, :60] == 0).all()
    assert (stored[:, 100:] == 255).all()


def test_detect_requires_the_file_of_a_network(post, detect, circle) -> None:
    body = {"controlnet_module": "hed", "controlnet_input_images": [circle]}
    response = post("detect", body)
    assert (response.status_code, response.json()["detail"]) == (422, "Module not available")
    ModelFile.objects.create(
        kind=Kind.PREPROCESSOR, name="ControlNetHED", path="preprocessors/ControlNetHED.pth", sha256="1" * 64
    )
    assert detect(**body).files.keys() == {"preprocessor:ControlNetHED"}


def test_detect_above_the_image_limit_is_rejected_at_its_field(post, circle, source) -> None:
    source.max_images = 1
    source.save()
    response = post("detect", {"controlnet_module": "canny", "controlnet_input_images": [circle] * 2})
    assert response.json()["detail"][0]["loc"] == ["body", "controlnet_input_images"]


def _half_white() -> bytes:
    image = Image.new("L", (128, 96))
    image.paste(255, (0, 0, 64, 96))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"controlnet_module": "nonsense"}, "Module not available"),
        ({"controlnet_module": "mlsd"}, "Module not available"),
        ({"controlnet_module": "openpose"}, "Module not available"),
        ({"controlnet_module": "clip_vision"}, "Module not supported"),
        ({"controlnet_module": "canny"}, "No image selected"),
        ({"controlnet_module": "inpaint"}, "Preprocessor inpaint requires `controlnet_masks` param."),
    ],
)
def test_detect_rejects_invalid_requests(post, circle, body, detail) -> None:
    images = [] if detail == "No image selected" else [circle]
    response = post("detect", body | {"controlnet_input_images": images})
    assert response.status_code == 422
    assert response.json()["detail"] == detail


def test_detect_replaces_out_of_range_numbers_by_defaults(detect, circle) -> None:
    job = detect(
        controlnet_module="canny",
        controlnet_input_images=[circle],
        controlnet_threshold_a=999,
        controlnet_processor_res=-7,
    )
    (unit,) = job.generation_request.controls
    used = MODULES["canny"].settings(unit.processor_res, unit.threshold_a, unit.threshold_b)
    assert used == MODULES["canny"].settings(None, None, None)


def test_detect_rejects_data_that_is_not_an_image(post) -> None:
    response = post("detect", {"controlnet_module": "canny", "controlnet_input_images": ["bm8gcGljdHVyZQ=="]})
    assert response.status_code == 500
    assert response.json()["detail"] == "Invalid encoded image"


PERSON = FoundPerson(
    body=((60.0, 20.0), (60.0, 40.0), (40.0, 42.0), None, None, (80.0, 42.0), *[None] * 12),
    right_hand=tuple((20.0 + index, 70.0) for index in range(21)),
    face=tuple((30.0 + index, 10.0) for index in range(70)),
)


@pytest.fixture
def with_poses(claim):
    """Complete a detect job as a runner does that found a person in each image but the last."""

    def complete(job: Job) -> list[Image.Image]:
        lease, request = claim(job), job.generation_request
        maps, outputs, findings = [], [], []
        for index in range(request.num_images):
            people = (PERSON,) if index + 1 < request.num_images else ()
            findings.append(ImageFindings(index=index, data=PosesFound(width=128, height=96, people=people)))
            canvas = Image.new("RGB", (128, 96))
            for one in people:
                draw_person(canvas, one.body, (one.left_hand, one.right_hand), one.face)
            data = io.BytesIO()
            canvas.save(data, "PNG")
            image = RunnerImage(
                index=index, seed=1, width=128, height=96, data=base64.b64encode(data.getvalue()).decode()
            )
            outputs.append(store_output(job, request, image, ""))
            maps.append(canvas)
        lifecycle.succeed(lease, Done(engine_seconds=1, device_seconds=1, steps_run=1), outputs, findings)
        return maps

    return complete


def test_detect_returns_the_poses_that_render_draws_again(
    alice, detect, post, circle, with_poses, holistic
) -> None:
    job = detect(controlnet_module="openpose_full", controlnet_input_images=[circle] * 2)
    maps = with_poses(job)
    result = alice.result(job)
    assert len(result["images"]) == len(result["poses"]) == 2
    pose, nobody = result["poses"]
    assert (pose["canvas_width"], pose["canvas_height"], pose["animals"]) == (128, 96, [])
    [person] = pose["people"]
    assert person["pose_keypoints_2d"][:6] == [60 / 128, 20 / 96, 1, 60 / 128, 40 / 96, 1]
    assert person["pose_keypoints_2d"][9:12] == [0, 0, 0]
    assert [len(person[f"{part}_keypoints_2d"]) for part in ("pose", "face", "hand_right")] == [54, 210, 63]
    assert person["hand_left_keypoints_2d"] is None
    assert nobody["people"] == []
    rendered = post("render_openpose_json", json.dumps(result["poses"])).json()["images"]
    for given, canvas in zip(rendered, maps, strict=True):
        assert np.mean(pixels(given) != np.asarray(canvas)) < 0.01


def test_detect_of_other_modules_returns_no_poses(alice, detect, complete, circle) -> None:
    job = detect(controlnet_module="canny", controlnet_input_images=[circle])
    complete(job)
    assert "poses" not in alice.result(job)


@pytest.fixture
def holistic(db) -> ModelFile:
    return ModelFile.objects.create(
        kind=Kind.PREPROCESSOR,
        name="mediapipe_holistic",
        path="preprocessors/mediapipe_holistic.safetensors",
        sha256="2" * 64,
    )


def test_openpose_without_its_networks_names_the_command(post, circle) -> None:
    response = post("detect", {"controlnet_module": "openpose", "controlnet_input_images": [circle]})
    assert response.status_code == 422
    assert "python manage.py install_pose_models" in response.json()["errors"]


@pytest.mark.parametrize(
    "module", ["openpose", "openpose_face", "openpose_faceonly", "openpose_hand", "mediapipe_face"]
)
def test_openpose_with_its_networks_is_accepted(detect, circle, holistic, module) -> None:
    job = detect(controlnet_module=module, controlnet_input_images=[circle])
    assert job.files.keys() == {"preprocessor:mediapipe_holistic"}


def test_openpose_full_is_the_default_of_its_type(get) -> None:
    assert get("control_types").json()["control_types"]["OpenPose"]["default_option"] == "openpose_full"


def test_render_openpose_json_draws_poses(post) -> None:
    body = [0.0] * 54
    body[3:6] = [50, 20, 1]
    body[6:9] = [80, 20, 1]
    pose = {"people": [{"pose_keypoints_2d": body}], "canvas_width": 128, "canvas_height": 96}
    result = post("render_openpose_json", json.dumps([pose])).json()
    rendered = pixels(result["images"][0])
    assert rendered.shape == (96, 128, 3)
    assert rendered[20, 65].max() > 100
    assert rendered[60:].max() == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ([], 200),
        ([{"people": None, "canvas_width": 64, "canvas_height": 64}], 200),
        ([{"canvas_width": 10**9, "canvas_height": 64}], 422),
        ([7], 422),
        ({"people": []}, 422),
    ],
)
def test_render_openpose_json_validates_its_body(post, body, status) -> None:
    assert post("render_openpose_json", json.dumps(body)).status_code == status


CANVAS = {"canvas_width": 64, "canvas_height": 48}


@pytest.mark.parametrize(
    ("pose", "place"),
    [
        ({"foo": 10, "bar": 100}, ["people"]),
        ({"people": []}, ["canvas_width"]),
        ({"people": [], "canvas_width": 64}, ["canvas_height"]),
        ({"animals": [], "canvas_height": 64}, ["canvas_width"]),
        ({"people": [], "canvas_width": None, "canvas_height": 64}, ["canvas_width"]),
        ({"people": [], "canvas_width": 64, "canvas_height": 0}, ["canvas_height"]),
        ({"people": [{}], **CANVAS}, ["people", 0, "pose_keypoints_2d"]),
        ({"people": [{"pose_keypoints_2d": ["x", 1, 1]}], **CANVAS}, ["people", 0, "pose_keypoints_2d", 0]),
        ({"people": [{"pose_keypoints_2d": [1, 1]}], **CANVAS}, ["people", 0, "pose_keypoints_2d"]),
        ({"people": [{"pose_keypoints_2d": []}] * 101, **CANVAS}, ["people"]),
        ({"animals": [[1, 1]], **CANVAS}, ["animals", 0]),
        ({"animals": [{"x": 1}], **CANVAS}, ["animals", 0]),
    ],
)
def test_render_openpose_json_names_the_invalid_value(post, pose, place) -> None:
    response = post("render_openpose_json", json.dumps([pose]))
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", 0, *place]


def test_render_openpose_json_draws_animals(post) -> None:
    """Eyes at (20, 10) and (60, 10), nose at (40, 30), neck at (40, 80) with a confidence that the extension ignores."""
    animal = [20, 10, 1, 60, 10, 1, 40, 30, 1, 40, 80, 0.9, *[0.0] * 39]
    pose = {"version": "ap10k", "animals": [animal], "canvas_width": 128, "canvas_height": 96}
    result = post("render_openpose_json", json.dumps([pose])).json()
    assert result["info"] == "Success"
    rendered = pixels(result["images"][0])
    assert rendered.shape == (96, 128, 3)
    assert rendered[10, 40].tolist() == [255, 255, 255]
    assert rendered[20, 50].tolist() == [100, 255, 100]
    assert rendered[20, 30].tolist() == [150, 255, 255]
    assert rendered[50:].max() == 0


def test_render_openpose_json_without_poses_returns_no_image(post) -> None:
    assert post("render_openpose_json", "[]").json() == {"info": "No pose data detected."}


def test_detect_masks_the_photo_as_a_viewer_shows_it(post):
    encoded = base64.b64encode(photo(192, 128)).decode()
    black = base64.b64encode(solid_png(192, 128, (0, 0, 0))).decode()
    body = {"controlnet_module": "inpaint", "controlnet_input_images": [encoded], "controlnet_masks": [black]}
    assert post("detect", body).status_code == 503
    (init_image,) = Job.objects.get().generation_request.init_images
    with Image.open(io.BytesIO(read_input(init_image.sha256))) as masked:
        assert is_upright(masked, (192, 128))
