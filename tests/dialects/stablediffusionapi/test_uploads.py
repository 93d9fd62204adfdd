"""upload_image and base64_to_url store an image, whose URL is the input of a request."""

import base64
import io

import pytest
from PIL import Image

from .conftest import data_uri, png

pytestmark = pytest.mark.django_db

BLUE = png(color="blue")


def jpeg() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "blue").save(buffer, "JPEG")
    return base64.b64encode(buffer.getvalue()).decode()


def color_behind(client, url):
    return Image.open(io.BytesIO(client.get(url).getvalue())).convert("RGB").getpixel((9, 9))


@pytest.mark.parametrize("content", [base64.b64encode(BLUE).decode(), data_uri(BLUE)])
def test_uploaded_image_is_an_input(alice, content):
    response = alice.call("v1/enterprise/upload_image", base64_image=content, image_type="png")
    assert (response["status"], response["output"]) == ("success", [response["link"]])
    assert color_behind(alice.client, response["link"]) == (0, 0, 255)
    assert alice.request("v3/img2img", init_image=response["link"]).init_images


@pytest.mark.parametrize("name", ["jpeg", "jpg"])
def test_jpeg_is_uploaded(alice, name):
    response = alice.call("v1/enterprise/upload_image", base64_image=jpeg(), image_type=name)
    assert color_behind(alice.client, response["link"])[2] > 250


def test_wrong_uploads_are_refused_with_the_field(alice):
    def refused(**body):
        return alice.call("v1/enterprise/upload_image", **body)["message"]

    assert set(refused()) == {"base64_image", "image_type"}
    assert set(refused(base64_image=jpeg(), image_type="gif")) == {"image_type"}
    assert refused(base64_image=jpeg(), image_type="png") == {
        "base64_image": ["The base64 image must be of the type png, but is jpeg."]
    }
    assert list(refused(base64_image="bm90IGFuIGltYWdl", image_type="png")) == ["base64_image"]
    assert list(refused(base64_image="%%%", image_type="png")) == ["base64_image"]
    assert list(refused(base64_image=["x"], image_type="png")) == ["base64_image"]


def test_base64_becomes_a_url(alice):
    response = alice.call("v3/base64_to_url", base64_string=base64.b64encode(BLUE).decode())
    assert color_behind(alice.client, response["output"][0]) == (0, 0, 255)
    assert isinstance(response["id"], int)
    assert list(alice.call("v3/base64_to_url")["message"]) == ["base64_string"]
    assert list(alice.call("v3/base64_to_url", base64_string="eA==")["message"]) == ["base64_string"]
