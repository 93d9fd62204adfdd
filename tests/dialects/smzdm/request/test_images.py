"""The document's examples with the demo models, from the HTTP request to the pixels, with other image hosts."""

import io

import numpy as np
import pytest
from PIL import Image

from quickstart import demo_clients, demo_data
from tests.demo.test_background import disc, equal_pixels, product, shrunk
from tests.dialects.smzdm import seed
from tests.dialects.smzdm.conftest import Caller, png
from tests.support.demo_engine import Drawing, Studio, demo_checkpoint
from tests.support.fake_runner import JobStream
from tests.support.judge import judge
from tests.support.web_server import answer

pytestmark = pytest.mark.demo


@pytest.fixture
def demo(settings, tmp_path, transactional_db, runner, fake_runner):
    """The demo data of `make run`, with a real engine as the runner."""
    settings.MODELS_ROOT, settings.DATA_DIR = tmp_path / "models", tmp_path
    settings.SMZDM_DEFAULT_SOURCE = demo_data.SOURCE
    settings.JOB_WAIT_S = 600  # a busy machine may take longer than the default
    demo_data.copy_demo_models()
    demo_data.credentials("http://testserver")
    demo_clients.prepare("http://testserver")
    studio = Studio(settings.MODELS_ROOT, demo_checkpoint())

    def generate(stream: JobStream) -> None:
        drawing = Drawing()
        studio.engine.submit(stream.run_request, drawing)
        drawing.images()
        for event in drawing.events:
            stream.send(event)

    fake_runner.behavior = generate
    yield demo_data.SOURCE
    studio.close()


@pytest.fixture
def caller(demo, image_host, settings):
    settings.OUTBOUND_ALLOWED = ["127.0.0.1"]
    return Caller(image_host)


def host_and_port(image_host) -> str:
    return f"127.0.0.1:{image_host.port}"


def outputs(client, body) -> list[Image.Image]:
    assert body["error_code"] == 0, body
    responses = [client.get(url.removeprefix("http://testserver")) for url in body["data"]]
    return [Image.open(io.BytesIO(b"".join(response.streaming_content))) for response in responses]


def changed(before: Image.Image, after: Image.Image) -> float:
    """Mean color distance outside of the product."""
    outside = np.asarray(disc()) == 0
    before, after = (np.asarray(image.convert("RGB")).astype(int) for image in (before, after))
    return float(np.abs(before - after)[outside].mean())


@pytest.mark.parametrize("example", [seed.FIRST, seed.SECOND], ids=["first", "second"])
def test_examples_keep_the_product_and_change_the_background(caller, client, image_host, worker, example):
    before, body = product(), seed.at(host_and_port(image_host), example)
    for field, image in {"img_url": before, "mask_url": disc()}.items():
        image_host.answers["/" + body[field].split("/", 3)[3]] = answer(200, png(image))
    images = outputs(client, caller.post(body))
    assert len(images) == example["batch_size"]
    for after in images:
        assert after.size == before.size
        assert equal_pixels(before, after, shrunk(disc(), 8))
        assert changed(before, after) > 30


def test_product_is_cut_out_with_its_mask(caller, client, image_host, worker):
    image_host.answers["/product.png"] = answer(200, png(product()))
    response = caller.post(
        {
            "img_url": image_host.url("/product.png"),
            "is_mask": 1,
            "model": "u2netp",
            "upload_img_config": {"channel": 1202},
        },
        "rembg_img",
    )
    assert response["total_seconds"] > 0
    (cut,), (mask,) = (
        outputs(client, response | {"data": [response["data"][name]]}) for name in ("img", "mask")
    )
    assert cut.mode == "RGBA"
    for levels in (np.asarray(cut.getchannel("A")), np.asarray(mask.convert("L"))):
        assert levels[shrunk(disc(), 9)].min() > 128 > levels[:16].max()


def test_product_is_found_without_a_mask_and_the_background_follows_the_prompt(
    caller, client, image_host, worker
):
    before = product()
    image_host.answers["/product.png"] = answer(200, png(before))
    body = {
        "img_url": image_host.url("/product.png"),
        "prompt": "a red circle on a blue background",
        "negative_prompt": "yellow",
        "is_controlnet": "False",
        "width": 160,
        "height": 128,
        "steps": 12,
        "seed": 3,
    }
    (after,) = outputs(client, caller.post(body))
    assert after.size == (160, 128)
    assert equal_pixels(before, after.crop((16, 0, 144, 128)), shrunk(disc(), 9))
    assert judge(after).background == "blue"
