"""Input images by URL."""

import hashlib

import pytest

from jobs.images.storage import read_input
from jobs.models import Job
from tests.support.input_images import file_of, quarters
from tests.support.web_server import WebServer, answer, redirect


@pytest.fixture
def web(source, png):
    server = WebServer()
    server.answers["/a.png"] = answer(200, png)
    yield server
    server.close()


@pytest.fixture
def reachable(source) -> None:
    source.reachable = ["127.0.0.1"]
    source.save()


def error_detail(alice, url: str) -> str:
    response = alice.post("img2img", {"init_images": [url]})
    assert response.status_code == 500
    assert (response.json()["error"], Job.objects.count()) == ("HTTPException", 0)
    return response.json()["detail"]


def test_init_image_url_is_fetched_once_and_stored(alice, web, png, reachable) -> None:
    job = alice.submit("img2img", init_images=[web.url("/a.png")])
    (init_image,) = job.generation_request.init_images
    assert read_input(init_image.sha256) == png
    digest = hashlib.sha256(png).hexdigest()
    assert job.received["parameters"]["init_images"] == [f"sha256:{digest}"]
    assert len(web.asked) == 1


def test_local_address_is_rejected(alice, web) -> None:
    assert error_detail(alice, web.url("/a.png")) == "Request to local resource not allowed"
    assert web.asked == []


def test_redirect_to_a_local_address_is_rejected(alice, web, reachable) -> None:
    web.answers["/out"] = redirect("http://127.0.0.2/a.png")
    assert error_detail(alice, web.url("/out")) == "Request to local resource not allowed"


@pytest.mark.parametrize("path", ["/missing.png", "/page"])
def test_url_without_an_image_is_invalid(alice, web, reachable, path) -> None:
    web.answers["/page"] = answer(200, b"<html>", Content_Type="image/png")
    assert error_detail(alice, web.url(path)) == "Invalid image url"


def test_errors_say_which_url_is_refused_and_why(alice, web, reachable, red) -> None:
    def errors(**body) -> str:
        return alice.post("img2img", {"init_images": [red], **body}).json()["errors"]

    missing = errors(init_images=[web.url("/a.png"), web.url("/missing.png")], batch_size=2)
    assert missing == "init_images[1]: 127.0.0.1 returned status 404."
    assert errors(mask="http://10.0.0.1/a.png").startswith(
        "mask: 10.0.0.1 has an address that is neither public"
    )
    web.answers["/tiff"] = answer(200, file_of(quarters(), "TIFF"))
    batch = {"imageList": [{"data": red, "name": ""}, {"data": web.url("/tiff"), "name": ""}]}
    assert (
        alice.post("extra-batch-images", batch)
        .json()["errors"]
        .startswith("imageList[1].data: The format TIFF is not supported.")
    )


def test_fetching_urls_can_be_disabled(alice, web, reachable, settings) -> None:
    settings.INPUT_URLS = False
    assert error_detail(alice, web.url("/a.png")) == "Requests not allowed"
    assert alice.get("options").json()["api_enable_requests"] is False


def test_masks_and_extras_accept_urls(alice, web, red, reachable) -> None:
    url = web.url("/a.png")
    alice.submit("img2img", init_images=[red], mask=url)
    alice.submit("extra-single-image", image=url)
    assert len(web.asked) == 2


def test_url_count_is_limited_by_the_image_limit_of_the_source(alice, web, source, reachable) -> None:
    source.max_images = 2
    source.save()
    response = alice.post("img2img", {"init_images": [web.url("/a.png")] * 3, "batch_size": 3})
    assert (response.status_code, len(web.asked), Job.objects.count()) == (422, 2, 0)


def test_detect_accepts_urls(alice, web, reachable) -> None:
    for name in ("controlnet_input_images", "controlnet_images"):
        body = {"controlnet_module": "canny", name: [web.url("/a.png")]}
        response = alice.client.post("/controlnet/detect", body, content_type="application/json")
        job = Job.objects.get(pk=response["X-Job-Id"])
        assert len(job.generation_request.init_images) == 1


def test_controlnet_region_accepts_urls(alice, web, reachable) -> None:
    unit = {"model": "canny", "effective_region_mask": web.url("/a.png")}
    alice.post("txt2img", {"alwayson_scripts": {"ControlNet": {"args": [unit]}}})
    assert [request.path for request in web.asked] == ["/a.png"]
