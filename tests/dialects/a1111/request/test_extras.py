import base64

import pytest

from jobs.images.file_metadata import with_infotext
from jobs.models import Job

pytestmark = pytest.mark.slow

SINGLE, BATCH = "extra-single-image", "extra-batch-images"


def upscale_job(alice, route=SINGLE, **fields) -> Job:
    response = alice.post(route, fields)
    assert response.status_code == 503, response.content
    return Job.objects.get(pk=response["X-Job-Id"])


def test_single_image_is_upscaled_by_a_factor(alice, complete, red, open_image) -> None:
    job = upscale_job(alice, image=red, upscaling_resize=2, upscaler_1="Lanczos")
    upscale = job.generation_request.upscale
    assert (upscale.scale, upscale.upscaler, upscale.width) == (2, "Lanczos", 0)
    complete(job)
    result = alice.result(job)
    assert result["html_info"] == "<p>Postprocess upscale by: 2.0, Postprocess upscaler: Lanczos</p>"
    assert "postprocessing" in open_image(result["image"]).info


def test_several_images_are_upscaled_to_a_size(alice, complete, red) -> None:
    images = [{"data": red, "name": "a"}, {"data": red, "name": "b"}]
    job = upscale_job(
        alice, BATCH, imageList=images, resize_mode=1, upscaling_resize_w=300, upscaling_resize_h=200,
        upscaler_1="Nearest", upscaler_2="Lanczos", extras_upscaler_2_visibility=0.5, upscaling_crop=False,
    )  # fmt: skip
    upscale = job.generation_request.upscale
    assert (upscale.width, upscale.height, upscale.crop) == (300, 200, False)
    assert (upscale.upscaler_2, upscale.upscaler_2_visibility) == ("Lanczos", 0.5)
    complete(job)
    result = alice.result(job)
    assert len(result["images"]) == 2
    assert "Postprocess upscale to: 300x200" in result["html_info"]


def test_upscaled_image_keeps_its_infotext(alice, complete, png, open_image) -> None:
    known = base64.b64encode(with_infotext(png, "png", "a cat\nSteps: 20")).decode()
    job = upscale_job(alice, image=known, upscaler_1="Lanczos")
    complete(job)
    assert open_image(alice.result(job)["image"]).info["parameters"] == "a cat\nSteps: 20"


@pytest.mark.parametrize(
    ("fields", "place", "kind"),
    [
        ({"resize_mode": 2}, "resize_mode", "value_error.const"),
        ({"upscaling_resize": 0}, "upscaling_resize", "value_error.number.not_gt"),
        ({"upscaling_resize": 1000}, "upscaling_resize", "value_error.number.not_le"),
        ({"resize_mode": 1, "upscaling_resize_h": 99999}, "upscaling_resize_h", "value_error.number.not_le"),
        ({"upscaling_resize_w": 0}, "upscaling_resize_w", "value_error.number.not_ge"),
        ({"extras_upscaler_2_visibility": 1.5}, "extras_upscaler_2_visibility", "value_error.number.not_le"),
        ({"upscaler_1": None}, "upscaler_1", "type_error.none.not_allowed"),
        ({"gfpgan_visibility": 1}, "gfpgan_visibility", "value_error.unsupported"),
    ],
)
def test_invalid_value_is_rejected_at_its_field(alice, red, fields, place, kind) -> None:
    response = alice.post(SINGLE, {"image": red, **fields})
    assert response.status_code == 422
    entry = response.json()["detail"][0]
    assert (entry["loc"], entry["type"]) == (["body", place], kind)


def test_unknown_upscaler_is_an_assertion_error(alice, red) -> None:
    response = alice.post(SINGLE, {"image": red, "upscaler_1": "X"})
    assert (response.status_code, response.json()["error"]) == (500, "AssertionError")
    assert response.json()["errors"] == "could not find upscaler named X"


def test_missing_image_is_500(alice) -> None:
    assert alice.post(SINGLE, {}).json()["detail"] == "Invalid encoded image"


def test_image_list_above_the_image_limit_is_rejected_at_its_field(alice, red) -> None:
    alice.key.source.max_images = 1
    alice.key.source.save()
    entry = alice.post(BATCH, {"imageList": [{"data": red, "name": "a"}] * 2}).json()["detail"][0]
    assert entry["loc"] == ["body", "imageList"]
    assert entry["msg"].startswith("imageList ")


def test_all_errors_of_an_image_list_are_reported(alice) -> None:
    wrong = alice.post(BATCH, {"imageList": [{"data": 5, "name": []}, None, {}]}).json()["detail"]
    assert [entry["loc"][2:] for entry in wrong] == [[0, "name"], [1], [2, "data"], [2, "name"]]


def test_incomplete_image_list_is_rejected(alice) -> None:
    assert alice.post(BATCH, {}).json()["detail"][0]["loc"] == ["body", "imageList"]
    response = alice.post(BATCH, {"imageList": [{"data": "x"}]})
    assert response.json()["detail"][0]["loc"] == ["body", "imageList", 0, "name"]
