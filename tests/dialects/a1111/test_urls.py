"""Input pictures by URL."""

import hashlib

import pytest

from jobs.images.storage import read_input
from jobs.models import Job
from tests.support.web_server import WebServer, answer, redirect


@pytest.fixture
def web(source, picture):
    server = WebServer()
    server.answers["/a.png"] = answer(200, picture)
    yield server
    server.close()


@pytest.fixture
def reachable(source) -> None:
    source.reachable = ["127.0.0.1"]
    source.save()


def refused(alice, url: str) -> str:
    response = alice.post("img2img", {"init_images": [url]})
    assert response.status_code == 500
    assert (response.json()["error"], Job.objects.count()) == ("HTTPException", 0)
    return response.json()["detail"]


def test_an_init_image_by_url_is_fetched_once_and_kept(alice, web, picture, reachable) -> None:
    job = alice.submit("img2img", init_images=[web.url("/a.png")])
    (shown,) = job.generation_request.init_images
    assert read_input(shown.sha256) == picture
    digest = hashlib.sha256(picture).hexdigest()
    assert job.received["parameters"]["init_images"] == [f"sha256:{digest}"]
    assert len(web.asked) == 1


def test_a_local_address_is_refused(alice, web) -> None:
    assert refused(alice, web.url("/a.png")) == "Request to local resource not allowed"
    assert web.asked == []


def test_also_behind_a_redirect(alice, web, reachable) -> None:
    web.answers["/out"] = redirect("http://127.0.0.2/a.png")
    assert refused(alice, web.url("/out")) == "Request to local resource not allowed"


@pytest.mark.parametrize("path", ["/missing.png", "/page"])
def test_what_brings_no_picture_is_an_invalid_url(alice, web, reachable, path) -> None:
    web.answers["/page"] = answer(200, b"<html>", Content_Type="image/png")
    assert refused(alice, web.url(path)) == "Invalid image url"


def test_an_installation_may_fetch_nothing(alice, web, reachable, settings) -> None:
    settings.INPUT_URLS = False
    assert refused(alice, web.url("/a.png")) == "Requests not allowed"
    assert alice.get("options").json()["api_enable_requests"] is False


def test_the_mask_and_the_extras_may_be_urls_too(alice, web, red, reachable) -> None:
    url = web.url("/a.png")
    alice.submit("img2img", init_images=[red], mask=url)
    alice.submit("extra-single-image", image=url)
    assert len(web.asked) == 2


def test_no_more_urls_than_the_source_may_draw(alice, web, source, reachable) -> None:
    source.max_images = 2
    source.save()
    response = alice.post("img2img", {"init_images": [web.url("/a.png")] * 3, "batch_size": 3})
    assert (response.status_code, len(web.asked), Job.objects.count()) == (422, 2, 0)


def test_the_maps_of_detect_may_be_of_pictures_by_url(alice, web, reachable) -> None:
    for name in ("controlnet_input_images", "controlnet_images"):
        body = {"controlnet_module": "canny", name: [web.url("/a.png")]}
        response = alice.client.post("/controlnet/detect", body, content_type="application/json")
        job = Job.objects.get(pk=response["X-Job-Id"])
        assert len(job.generation_request.init_images) == 1


def test_so_may_the_region_of_a_controlnet_unit(alice, web, reachable) -> None:
    unit = {"model": "canny", "effective_region_mask": web.url("/a.png")}
    alice.post("txt2img", {"alwayson_scripts": {"ControlNet": {"args": [unit]}}})
    assert [asked.path for asked in web.asked] == ["/a.png"]
