import base64

import pytest

from jobs.images.file_metadata import with_infotext
from jobs.models import Job

pytestmark = pytest.mark.slow

SINGLE, BATCH = "extra-single-image", "extra-batch-images"


def enlarge(alice, route=SINGLE, **fields) -> Job:
    response = alice.post(route, fields)
    assert response.status_code == 503, response.content
    return Job.objects.get(pk=response["X-Job-Id"])


def test_one_picture_by_a_factor(alice, draw, red, opened) -> None:
    job = enlarge(alice, image=red, upscaling_resize=2, upscaler_1="Lanczos")
    upscale = job.generation_request.upscale
    assert (upscale.scale, upscale.upscaler, upscale.width) == (2, "Lanczos", 0)
    draw(job)
    answer = alice.result(job)
    assert answer["html_info"] == "<p>Postprocess upscale by: 2.0, Postprocess upscaler: Lanczos</p>"
    assert "postprocessing" in opened(answer["image"]).info


def test_many_pictures_to_a_size(alice, draw, red) -> None:
    pictures = [{"data": red, "name": "a"}, {"data": red, "name": "b"}]
    job = enlarge(
        alice, BATCH, imageList=pictures, resize_mode=1, upscaling_resize_w=300, upscaling_resize_h=200,
        upscaler_1="Nearest", upscaler_2="Lanczos", extras_upscaler_2_visibility=0.5, upscaling_crop=False,
    )  # fmt: skip
    upscale = job.generation_request.upscale
    assert (upscale.width, upscale.height, upscale.crop) == (300, 200, False)
    assert (upscale.upscaler_2, upscale.upscaler_2_visibility) == ("Lanczos", 0.5)
    draw(job)
    answer = alice.result(job)
    assert len(answer["images"]) == 2
    assert "Postprocess upscale to: 300x200" in answer["html_info"]


def test_what_was_known_of_a_picture_stays_with_it(alice, draw, picture, opened) -> None:
    known = base64.b64encode(with_infotext(picture, "png", "a cat\nSteps: 20")).decode()
    job = enlarge(alice, image=known, upscaler_1="Lanczos")
    draw(job)
    assert opened(alice.result(job)["image"]).info["parameters"] == "a cat\nSteps: 20"


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
def test_what_cannot_be_is_422_at_its_field(alice, red, fields, place, kind) -> None:
    response = alice.post(SINGLE, {"image": red, **fields})
    assert response.status_code == 422
    entry = response.json()["detail"][0]
    assert (entry["loc"], entry["type"]) == (["body", place], kind)


def test_an_unknown_upscaler_is_an_assertion_error(alice, red) -> None:
    response = alice.post(SINGLE, {"image": red, "upscaler_1": "X"})
    assert (response.status_code, response.json()["error"]) == (500, "AssertionError")
    assert response.json()["errors"] == "could not find upscaler named X"


def test_no_picture_is_500(alice) -> None:
    assert alice.post(SINGLE, {}).json()["detail"] == "Invalid encoded image"


def test_a_list_that_is_longer_than_the_source_may_ask_for_is_named(alice, red) -> None:
    alice.key.source.max_images = 1
    alice.key.source.save()
    entry = alice.post(BATCH, {"imageList": [{"data": red, "name": "a"}] * 2}).json()["detail"][0]
    assert entry["loc"] == ["body", "imageList"]
    assert entry["msg"].startswith("imageList is 2")


def test_all_that_is_wrong_with_a_list_is_told(alice) -> None:
    wrong = alice.post(BATCH, {"imageList": [{"data": 5, "name": []}, None, {}]}).json()["detail"]
    assert [entry["loc"][2:] for entry in wrong] == [[0, "name"], [1], [2, "data"], [2, "name"]]


def test_a_batch_without_its_list_is_422(alice) -> None:
    assert alice.post(BATCH, {}).json()["detail"][0]["loc"] == ["body", "imageList"]
    response = alice.post(BATCH, {"imageList": [{"data": "x"}]})
    assert response.json()["detail"][0]["loc"] == ["body", "imageList", 0, "name"]
