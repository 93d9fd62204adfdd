import base64

import pytest

from jobs.images.storage import read_input
from jobs.models import InputPicture


def test_the_init_image_is_stored_and_named_by_its_content(alice, red, picture) -> None:
    job = alice.submit("img2img", init_images=[red], denoising_strength=0.3, resize_mode=1, n_iter=2)
    request = job.generation_request
    assert (request.task, request.strength, request.resize_mode) == ("img2img", 0.3, "crop")
    assert [read_input(shown.sha256) for shown in request.init_images] == [picture]
    assert red not in str(job.received)


def test_the_original_defaults(alice, red) -> None:
    request = alice.submit("img2img", init_images=[red]).generation_request
    assert (request.strength, request.resize_mode, request.sampler) == (0.75, "stretch", "Euler")


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,", "data:image/webp;base64,"])
def test_bare_base64_and_data_uris_are_the_same(alice, red, prefix) -> None:
    alice.submit("img2img", init_images=[prefix + red])
    assert InputPicture.objects.count() == 1


def test_several_images_are_one_each_and_set_the_size_of_the_batch(alice, red) -> None:
    request = alice.submit("img2img", init_images=[red, red], batch_size=4, n_iter=2).generation_request
    assert (request.batch_size, request.num_images, len(request.init_images)) == (2, 4, 4)


@pytest.mark.parametrize(
    ("image", "detail"),
    [
        ("", "Invalid encoded image"),
        ("!!!", "Invalid encoded image"),
        ("abcde", "Invalid encoded image"),
        (base64.b64encode(b"no picture").decode(), "Invalid encoded image"),
        ("data:image/png;base64", "Invalid encoded image"),
        (5, "Invalid encoded image"),
        (None, "Invalid encoded image"),
    ],
)
def test_what_is_no_picture_is_500_as_in_the_original(alice, image, detail) -> None:
    response = alice.post("img2img", {"init_images": [image]})
    assert response.status_code == 500
    assert response.json() == {"error": "HTTPException", "detail": detail, "body": "", "errors": ""}


def test_half_a_picture_is_not_one(alice, picture) -> None:
    half = base64.b64encode(picture[: len(picture) // 2]).decode()
    assert alice.post("img2img", {"init_images": [half]}).json()["detail"] == "Invalid encoded image"


def test_without_an_init_image_it_is_not_found(alice) -> None:
    response = alice.post("img2img", {})
    assert (response.status_code, response.json()["detail"]) == (404, "Init image not found")


def test_an_empty_list_is_an_error(alice) -> None:
    response = alice.post("img2img", {"init_images": []})
    assert (response.status_code, response.json()["error"]) == (500, "IndexError")


def test_more_images_than_the_batch_are_refused(alice, red) -> None:
    response = alice.post("img2img", {"init_images": [red] * 3, "batch_size": 2})
    assert response.status_code == 500
    assert response.json()["errors"] == "bad number of images passed: 3; expecting 2 or less"


@pytest.mark.parametrize("mode", [4, -1, 9])
def test_a_resize_mode_that_is_not_there_is_422(alice, red, mode) -> None:
    response = alice.post("img2img", {"init_images": [red], "resize_mode": mode})
    assert response.json()["detail"][0]["loc"] == ["body", "resize_mode"]


@pytest.mark.parametrize("strength", [-0.1, 1.1])
def test_a_strength_out_of_bounds_is_422(alice, red, strength) -> None:
    response = alice.post("img2img", {"init_images": [red], "denoising_strength": strength})
    assert response.json()["detail"][0]["loc"] == ["body", "denoising_strength"]


def test_the_init_images_come_back_only_when_asked_for(alice, draw, red) -> None:
    for asked, echoed in ((False, None), (True, [red])):
        job = alice.submit("img2img", init_images=[red], include_init_images=asked)
        draw(job)
        assert alice.result(job)["parameters"]["init_images"] == echoed
