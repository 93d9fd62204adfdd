"""An image file that is damaged beyond its header is refused at admission, in every dialect, and named."""

import base64

import pytest

from dialects.native.models import UploadedImage
from jobs.models import Job
from tests.dialects.a1111.conftest import Caller as A1111
from tests.dialects.native.conftest import Caller as Native
from tests.dialects.test_idempotency import REQUESTS, caller  # noqa: F401  (a fixture)
from tests.support.fake_runner import png
from tests.support.input_images import DAMAGED
from tests.support.web_server import WebServer, answer

pytestmark = pytest.mark.slow


@pytest.fixture
def web():
    server = WebServer()
    for name in ("JPEG", "PNG"):
        server.answers[f"/{name}"] = answer(200, DAMAGED[name])
    yield server
    server.close()


@pytest.mark.parametrize("send", REQUESTS, ids=lambda send: send.__name__)
def test_image_of_a_url_is_refused_as_damaged(send, caller, web):  # noqa: F811
    for name in ("JPEG", "PNG"):
        response = send(*caller, web.url(f"/{name}"))
        assert f"the {name} file is damaged or incomplete" in response.content.decode(), response.content
    assert not Job.objects.exists()


def test_upload_to_the_native_api_is_refused_as_damaged(caller):  # noqa: F811
    for data in DAMAGED.values():
        response = Native(*caller).upload(data)
        assert response.status_code == 422
        assert "damaged or incomplete" in response.json()["detail"]
    assert not UploadedImage.objects.exists()


def test_the_damaged_one_of_several_images_is_named(caller):  # noqa: F811
    images = [base64.b64encode(data).decode() for data in (png(128, 128), DAMAGED["JPEG"])]
    refused = A1111(*caller).post("img2img", {"init_images": images, "batch_size": 2})
    assert refused.status_code == 500  # as in the original
    assert refused.json()["errors"].startswith("init_images[1]: ")
