import base64

import pytest

from jobs.images.storage import read_input
from jobs.models import InputPicture
from tests.support.input_images import UNUSABLE, file_of, quarters


def test_init_image_is_stored_by_its_sha256(alice, red, png) -> None:
    job = alice.submit("img2img", init_images=[red], denoising_strength=0.3, resize_mode=1, n_iter=2)
    request = job.generation_request
    assert (request.task, request.strength, request.resize_mode) == ("img2img", 0.3, "crop")
    assert [read_input(image.sha256) for image in request.init_images] == [png]
    assert red not in str(job.received)


def test_defaults_are_those_of_the_original(alice, red) -> None:
    request = alice.submit("img2img", init_images=[red]).generation_request
    assert (request.strength, request.resize_mode, request.sampler) == (0.75, "stretch", "Euler")


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,", "data:image/webp;base64,"])
def test_bare_base64_and_data_uris_are_equivalent(alice, red, prefix) -> None:
    alice.submit("img2img", init_images=[prefix + red])
    assert InputPicture.objects.count() == 1


def test_several_init_images_set_the_batch_size(alice, red) -> None:
    request = alice.submit("img2img", init_images=[red, red], batch_size=4, n_iter=2).generation_request
    assert (request.batch_size, request.num_images, len(request.init_images)) == (2, 4, 4)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("", "not base64, or empty"),
        ("!!!", "not base64, or empty"),
        ("abcde", "not base64, or empty"),
        (base64.b64encode(b"not an image").decode(), "not an image file"),
        ("data:image/png;base64", "not base64, or empty"),
        (5, "not base64, or empty"),
        (None, "not base64, or empty"),
    ],
)
def test_invalid_init_image_is_500(alice, image, reason) -> None:
    response = alice.post("img2img", {"init_images": [image]})
    assert response.status_code == 500
    error = response.json()
    assert reason in error.pop("errors")
    assert error == {"error": "HTTPException", "detail": "Invalid encoded image", "body": ""}


@pytest.mark.parametrize(("data", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_errors_say_which_image_is_refused_and_why(alice, red, data, reason) -> None:
    unusable = base64.b64encode(data).decode()

    def errors(**body) -> str:
        response = alice.post("img2img", body)
        assert (response.status_code, response.json()["detail"]) == (500, "Invalid encoded image")
        return response.json()["errors"]

    second = errors(init_images=[red, unusable], batch_size=2)
    assert second.startswith("init_images[1]: ")
    assert reason in second
    assert errors(init_images=[red], mask=unusable).startswith("mask: ")
    unit = {"image": unusable, "model": "None", "module": "none"}
    units = {
        "controlnet": {
            "args": [
                {"enabled": False},
                {"image": red, "module": "reference_only"},
                unit | {"module": "reference_only"},
            ]
        }
    }
    assert errors(init_images=[red], alwayson_scripts=units).startswith(
        "alwayson_scripts.controlnet.args[2].image: "
    )


def test_avif_is_accepted(alice) -> None:
    avif = file_of(quarters(), "AVIF")
    (image,) = alice.submit(
        "img2img", init_images=[base64.b64encode(avif).decode()]
    ).generation_request.init_images
    assert read_input(image.sha256) == avif


def test_truncated_init_image_is_rejected(alice, png) -> None:
    half = base64.b64encode(png[: len(png) // 2]).decode()
    assert alice.post("img2img", {"init_images": [half]}).json()["detail"] == "Invalid encoded image"


def test_missing_init_images_are_404(alice) -> None:
    response = alice.post("img2img", {})
    assert (response.status_code, response.json()["detail"]) == (404, "Init image not found")


def test_empty_init_images_are_an_index_error(alice) -> None:
    response = alice.post("img2img", {"init_images": []})
    assert (response.status_code, response.json()["error"]) == (500, "IndexError")


def test_more_init_images_than_the_batch_size_are_rejected(alice, red) -> None:
    response = alice.post("img2img", {"init_images": [red] * 3, "batch_size": 2})
    assert response.status_code == 500
    assert response.json()["errors"] == "bad number of images passed: 3; expecting 2 or less"


@pytest.mark.parametrize("mode", [4, -1, 9])
def test_unknown_resize_mode_is_rejected(alice, red, mode) -> None:
    response = alice.post("img2img", {"init_images": [red], "resize_mode": mode})
    assert response.json()["detail"][0]["loc"] == ["body", "resize_mode"]


@pytest.mark.parametrize("strength", [-0.1, 1.1])
def test_denoising_strength_out_of_range_is_rejected(alice, red, strength) -> None:
    response = alice.post("img2img", {"init_images": [red], "denoising_strength": strength})
    assert response.json()["detail"][0]["loc"] == ["body", "denoising_strength"]


def test_init_images_are_echoed_only_on_request(alice, complete, red) -> None:
    for include, echoed in ((False, None), (True, [red])):
        job = alice.submit("img2img", init_images=[red], include_init_images=include)
        complete(job)
        assert alice.result(job)["parameters"]["init_images"] == echoed
