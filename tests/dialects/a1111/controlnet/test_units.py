"""ControlNet units in a generation request."""

import base64

import pytest

from gpu_runner.protocol import ControlMap
from jobs.images import storage
from models_registry.models import RESIDUALS, Family, Kind, ModelFile
from tests.dialects.a1111.conftest import solid_png

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def canny(db) -> ModelFile:
    return ModelFile.objects.create(
        kind=Kind.CONTROLNET,
        family=Family.SD15,
        name="canny-net",
        path="controlnet/control_v11p_sd15_canny.pth",
        sha256="d14c016b" + "0" * 56,
    )


TITLE = "control_v11p_sd15_canny [d14c016b]"


def scripts(*units) -> dict:
    return {"alwayson_scripts": {"ControlNet": {"args": list(units)}}}


@pytest.fixture
def unit(red) -> dict:
    return {"image": red, "module": "canny", "model": TITLE}


def only_unit(alice, unit, **body):
    [control] = alice.submit(**scripts(unit), **body).generation_request.controls
    return control


def test_unit_becomes_a_control_unit(alice, unit, png) -> None:
    control = only_unit(
        alice, unit | {"weight": 0.8, "guidance_end": 0.7, "threshold_a": 50, "pixel_perfect": True}
    )
    assert (control.model, control.module, control.weight) == ("canny-net", "canny", 0.8)
    assert (control.guidance_start, control.guidance_end) == (0, 0.7)
    assert (control.threshold_a, control.threshold_b, control.processor_res) == (50, None, None)
    assert control.pixel_perfect
    assert storage.read_input(control.image.sha256) == png


@pytest.mark.parametrize(
    ("field", "value", "name", "expected"),
    [
        ("resize_mode", "Just Resize", "resize_mode", "stretch"),
        ("resize_mode", "Scale to Fit (Inner Fit)", "resize_mode", "crop"),
        ("resize_mode", "Envelope (Outer Fit)", "resize_mode", "fill"),
        ("resize_mode", 2, "resize_mode", "fill"),
        ("control_mode", "My prompt is more important", "control_mode", "prompt"),
        ("control_mode", 2, "control_mode", "control"),
        ("hr_option", "High res only", "hr_option", "high"),
        ("guidance", 0.5, "guidance_end", 0.5),
        ("module", "depth_anything_v2", "module", "depth_anything_v2"),
        ("module", "invert (from white bg & black line)", "module", "invert"),
        ("model", "Control_V11p_SD15_canny", "model", "canny-net"),
        ("model", "sd15_canny", "model", "canny-net"),
        ("model", "control_v11p_sd15_canny [00000000]", "model", "canny-net"),
        ("save_detected_map", False, "return_map", False),
        ("advanced_weighting", [1, 0.5], "layer_weights", (1, 0.5)),
        ("weight", "1.5", "weight", 1.5),
    ],
)  # fmt: skip
def test_all_names_and_values_of_a_field_are_accepted(alice, unit, field, value, name, expected) -> None:
    if value == "depth_anything_v2":
        ModelFile.objects.create(
            kind=Kind.PREPROCESSOR, name=value, path=f"preprocessors/{value}.safetensors", sha256="1" * 64
        )
    assert getattr(only_unit(alice, unit | {field: value}), name) == expected


@pytest.mark.parametrize("form", ["data", "object", "pair", "list of one", "input_image"])
def test_all_forms_of_image_and_mask_are_accepted(alice, unit, red, png, form) -> None:
    mask = base64.b64encode(solid_png(64, 64, (255, 255, 255))).decode()
    forms = {
        "data": {"image": f"data:image/png;base64,{red}", "mask": mask},
        "object": {"image": {"image": red, "mask": mask}},
        "pair": {"image": [red, mask]},
        "list of one": {"image": [{"image": red, "mask": mask}]},
        "input_image": {"image": None, "input_image": red, "mask_image": mask},
    }
    control = only_unit(alice, unit | forms[form])
    assert storage.read_input(control.image.sha256) == png
    assert storage.read_input(control.mask.sha256) == base64.b64decode(mask)


def test_effective_region_mask_becomes_the_region(alice, unit, red) -> None:
    control = only_unit(alice, unit | {"effective_region_mask": red})
    assert control.region is not None
    assert control.mask is None


def test_unit_without_image_uses_the_init_image_in_img2img(alice, unit, red) -> None:
    job = alice.submit("img2img", init_images=[red], **scripts(unit | {"image": ""}))
    assert job.generation_request.controls[0].image is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"weight": 3}, "weight\n  ensure this value is less than or equal to 2 (type=value_error.number.not_le; limit_value=2)"),
        ({"guidance_start": 0.9, "guidance_end": 0.1}, "guidance_start(0.9) > guidance_end(0.1)"),
        ({"module": "nonsense"}, "module(nonsense) not found"),
        ({"resize_mode": 7}, "resize_mode\n  unexpected value"),
        ({"control_mode": "mine"}, "control_mode"),
        ({"input_image": "x"}, "both input_image and image"),
    ],
)  # fmt: skip
def test_invalid_unit_returns_500_in_pydantics_format(alice, unit, fields, words) -> None:
    response = alice.post("txt2img", scripts(unit | fields))
    assert response.status_code == 500
    body = response.json()
    assert body["error"] == "ValidationError"
    assert body["errors"].startswith("1 validation error for ControlNetUnit\n")
    assert words in body["errors"]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"model": "unknown"}, "model"),
        ({"model": "None"}, "model"),
        ({"image": ""}, "image"),
        ({"module": "mlsd"}, "module"),
        ({"module": "ip-adapter_clip_sd15"}, "module"),
        ({"ipadapter_input": "gAM="}, "ipadapter_input"),
    ],
)
def test_unusable_unit_is_rejected_at_its_field(alice, unit, fields, place) -> None:
    response = alice.post("txt2img", scripts(unit | fields))
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "alwayson_scripts", "ControlNet", "args", 0, place]


def test_missing_preprocessor_file_is_named_in_the_error(alice, unit) -> None:
    response = alice.post("txt2img", scripts(unit | {"module": "scribble_hed"}))
    assert response.status_code == 422
    assert "preprocessors/ControlNetHED" in response.json()["detail"][0]["msg"]


def test_controlnet_of_another_model_family_is_rejected(alice, unit, canny) -> None:
    ModelFile.objects.filter(pk=canny.pk).update(family=Family.SDXL)
    response = alice.post("txt2img", scripts(unit))
    assert response.status_code == 422
    assert "canny-net is for Stable Diffusion XL" in response.json()["detail"][0]["msg"]


def test_units_above_the_limit_are_dropped_with_a_warning(alice, unit) -> None:
    job = alice.submit(**scripts(*[unit] * 4))
    assert len(job.generation_request.controls) == 3
    assert "first 3" in job.received["warnings"][0]
    assert (
        len(alice.submit(**scripts(*[unit] * 4), override_settings={"control_net_unit_count": 4}).files) == 1
    )


def test_reference_only_requires_no_model(alice, unit) -> None:
    assert only_unit(alice, unit | {"module": "reference_only", "model": "None"}).model == ""


def test_control_maps_follow_the_images_and_have_no_infotext(alice, unit, info, open_image, claim) -> None:
    job = alice.submit(**scripts(unit), n_iter=2)
    finish_with_a_map(job, claim)
    result = alice.result(job)
    assert [open_image(image).getpixel((0, 0)) for image in result["images"]] == [
        (10, 0, 0),
        (20, 0, 0),
        (255, 255, 255),
    ]
    assert len(info(result)["infotexts"]) == 2
    assert "ControlNet 0" in info(result)["extra_generation_params"]


def finish_with_a_map(job, claim) -> None:
    from gpu_runner.protocol import Done, Image
    from jobs.execution import lifecycle

    def encoded(red):
        return base64.b64encode(
            solid_png(64, 64, (red, red if red == 255 else 0, red if red == 255 else 0))
        ).decode()

    lease, request = claim(job), job.generation_request
    outputs = [storage.store_map(job, ControlMap(index=0, data=encoded(255)))]
    for index in range(request.num_images):
        image = Image(index=index, seed=index, width=64, height=64, data=encoded(10 * (index + 1)))
        outputs.append(storage.store_output(job, request, image, f"Seed: {index}"))
    lifecycle.succeed(lease, Done(engine_seconds=1, device_seconds=1, steps_run=1), outputs)
    job.refresh_from_db()
    assert job.images_done == request.num_images


def test_option_control_net_no_detectmap_suppresses_the_maps(alice, unit) -> None:
    assert not only_unit(alice, unit, override_settings={"control_net_no_detectmap": True}).return_map


def test_infotext_describes_the_unit(alice, unit) -> None:
    from jobs.images.infotext.build import infotext

    job = alice.submit(**scripts(unit))
    text = infotext(job, job.generation_request, 1)
    assert (
        'ControlNet 0: "Module: canny, Model: control_v11p_sd15_canny [d14c016b], Weight: 1.0, Resize Mode: Crop and '
        "Resize, Processor Res: 512, Threshold A: 100.0, Threshold B: 200.0, Guidance Start: 0.0, Guidance End: 1.0, "
        'Pixel Perfect: False, Control Mode: Balanced", Version' in text
    )


def test_infotext_and_model_list_use_the_same_model_name(alice, unit, canny) -> None:
    from jobs.images.infotext.build import infotext

    canny.legacy_hash = "0badc0de"
    canny.save()
    job = alice.submit(**scripts(unit))
    assert canny.control_title == "control_v11p_sd15_canny [0badc0de]"
    assert f"Model: {canny.control_title}, " in infotext(job, job.generation_request, 0)


def test_inpaint_only_requires_a_mask(alice, unit, red) -> None:
    without_mask = alice.post("txt2img", scripts(unit | {"module": "inpaint_only"}))
    assert (without_mask.status_code, "inpaint_only needs a mask" in without_mask.text) == (422, True)
    assert only_unit(alice, unit | {"module": "inpaint_only", "mask": red}).mask is not None
    assert only_unit(alice, unit | {"module": "inpaint"}).mask is None


@pytest.mark.parametrize("count", [10, 12, 14])
def test_advanced_weighting_of_another_number_of_layers_is_rejected(alice, unit, canny, count) -> None:
    ModelFile.objects.filter(pk=canny.pk).update(metadata={RESIDUALS: "13"})
    response = alice.post("txt2img", scripts(unit | {"advanced_weighting": [1.0] * count}))
    assert response.status_code == 422
    message = response.json()["detail"][0]["msg"]
    assert f"canny-net needs 13 weights per layer (got {count})" in message


def test_advanced_weighting_with_a_weight_per_layer_is_accepted(alice, unit, canny) -> None:
    ModelFile.objects.filter(pk=canny.pk).update(metadata={RESIDUALS: "13"})
    weights = [1.0] * 13
    assert only_unit(alice, unit | {"advanced_weighting": weights}).layer_weights == tuple(weights)


@pytest.mark.parametrize("kind", [Kind.CONTROLNET, Kind.UNKNOWN])
def test_unusable_control_model_is_rejected_with_its_problem(alice, unit, kind) -> None:
    ModelFile.objects.create(
        kind=kind,
        name="t2iadapter_pose",
        path="controlnet/t2iadapter_pose.safetensors",
        sha256="3" * 64,
        problem="Not usable: it is a T2I-Adapter, which is not supported",
    )
    response = alice.post("txt2img", scripts(unit | {"model": "T2IAdapter_pose [33333333]"}))
    assert response.status_code == 422
    [error] = response.json()["detail"]
    assert error["loc"][-1] == "model"
    assert "it is a T2I-Adapter" in error["msg"]
