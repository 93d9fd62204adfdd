"""Input images that a request sends as files, base64, data URIs or URLs."""

import base64

import pytest

from dialects.input_images import InputImages, stored_form
from jobs.errors import InvalidImage, Refused
from tests.support.fake_runner import png
from tests.support.web_server import WebServer, answer

BASE_URL = "http://testserver"


@pytest.fixture
def images(source):
    source.reachable = ["127.0.0.1"]
    source.save()
    return InputImages(source, BASE_URL)


@pytest.fixture
def web():
    server = WebServer()
    server.answers["/red.png"] = answer(200, png(128, 64))
    yield server
    server.close()


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,", "data:;charset=x;base64,"])
def test_base64_is_decoded(images, prefix):
    image = images.take("image", prefix + base64.b64encode(png(16, 8)).decode())
    assert images.files[image.sha256] == png(16, 8)
    assert images.size_of(image) == (16, 8)


def test_url_is_fetched_once(images, web):
    first, again = (images.take("image", web.url("/red.png")) for _ in range(2))
    assert first == again
    assert images.size_of(first) == (128, 64)
    assert len(web.asked) == 1


@pytest.mark.parametrize(
    "text", ["", "!", "data:image/png;base64,", "file:///etc/passwd", "ftp://a/b", "AAAA", "é"]
)
def test_other_text_is_refused_with_the_field(images, text):
    with pytest.raises(InvalidImage) as refused:
        images.take("mask", text)
    assert refused.value.field == "mask"


@pytest.mark.parametrize("url", ["http://10.0.0.1/a.png", "http://127.0.0.1:1/a", "http://testserver/x"])
def test_url_that_may_not_be_fetched_is_refused_with_the_field(images, url):
    with pytest.raises(Refused) as refused:
        images.take("image", url)
    assert refused.value.field == "image"


def test_urls_can_be_disabled(images, web, settings):
    settings.INPUT_URLS = False
    with pytest.raises(Refused, match="disabled"):
        images.take("image", web.url("/red.png"))
    assert not web.asked


def test_job_stores_urls_and_hashes_but_no_image_data(images):
    image = images.add("image", png())
    assert stored_form("https://example.com/a.png", image) == "https://example.com/a.png"
    assert stored_form("data:image/png;base64,AAAA", image) == f"sha256:{image.sha256}"
    assert stored_form("https://example.com/" + "a" * 2000, image) == f"sha256:{image.sha256}"
