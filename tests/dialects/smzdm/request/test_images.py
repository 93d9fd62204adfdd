"""The document's examples on the demo models, from the door to the pixels: only the hosts of their URLs are ours."""

import io

import numpy as np
import pytest
from PIL import Image

from quickstart import demo_clients, demo_data
from tests.demo.test_background import disc, product, same, shrunk
from tests.dialects.smzdm import seed
from tests.dialects.smzdm.conftest import Caller, png
from tests.support.demo_engine import Drawing, Studio, demo_checkpoint
from tests.support.fake_runner import Talk
from tests.support.judge import judge
from tests.support.web_server import answer

pytestmark = pytest.mark.demo


@pytest.fixture
def demo(settings, tmp_path, transactional_db, runner, fake_runner):
    """What `make run` prepares, with a real engine behind the runner's border."""
    settings.MODELS_ROOT, settings.DATA_DIR = tmp_path / "models", tmp_path
    settings.SMZDM_DEFAULT_SOURCE = demo_data.SOURCE
    demo_data.copy_demo_models()
    demo_data.credentials("http://testserver")
    demo_clients.prepare("http://testserver")
    studio = Studio(settings.MODELS_ROOT, demo_checkpoint())

    def draws(talk: Talk) -> None:
        drawing = Drawing()
        studio.engine.submit(talk.order, drawing)
        drawing.pictures()
        for event in drawing.events:
            talk.say(event)

    fake_runner.behaviour = draws
    yield demo_data.SOURCE
    studio.close()


@pytest.fixture
def caller(demo, pictures, settings):
    settings.OUTBOUND_ALLOWED = ["127.0.0.1"]
    return Caller(pictures)


def host(pictures) -> str:
    return f"127.0.0.1:{pictures.port}"


def drawn(client, told) -> list[Image.Image]:
    assert told["error_code"] == 0, told
    found = [client.get(url.removeprefix("http://testserver")) for url in told["data"]]
    return [Image.open(io.BytesIO(b"".join(response.streaming_content))) for response in found]


def changed(before: Image.Image, after: Image.Image) -> float:
    """Mean distance of the colours outside of the product."""
    outside = np.asarray(disc()) == 0
    before, after = (np.asarray(picture.convert("RGB")).astype(int) for picture in (before, after))
    return float(np.abs(before - after)[outside].mean())


@pytest.mark.parametrize("example", [seed.FIRST, seed.SECOND], ids=["first", "second"])
def test_the_documents_examples_keep_the_product_and_change_the_rest(
    caller, client, pictures, worker, example
):
    before, body = product(), seed.at(host(pictures), example)
    for field, picture in {"img_url": before, "mask_url": disc()}.items():
        pictures.answers["/" + body[field].split("/", 3)[3]] = answer(200, png(picture))
    made = drawn(client, caller.post(body))
    assert len(made) == example["batch_size"]
    for after in made:
        assert after.size == before.size
        assert same(before, after, shrunk(disc(), 8))
        assert changed(before, after) > 30


def test_a_product_is_cut_out_and_its_mask_is_given_with_it(caller, client, pictures, worker):
    pictures.answers["/product.png"] = answer(200, png(product()))
    told = caller.post(
        {
            "img_url": pictures.url("/product.png"),
            "is_mask": 1,
            "model": "u2netp",
            "upload_img_config": {"channel": 1202},
        },
        "rembg_img",
    )
    assert told["total_seconds"] > 0
    (cut,), (mask,) = (drawn(client, told | {"data": [told["data"][name]]}) for name in ("img", "mask"))
    assert cut.mode == "RGBA"
    for levels in (np.asarray(cut.getchannel("A")), np.asarray(mask.convert("L"))):
        assert levels[shrunk(disc(), 9)].min() > 128 > levels[:16].max()


def test_without_a_mask_the_product_is_found_and_the_background_is_the_prompts(
    caller, client, pictures, worker
):
    before = product()
    pictures.answers["/product.png"] = answer(200, png(before))
    body = {
        "img_url": pictures.url("/product.png"),
        "prompt": "a red circle on a blue background",
        "negative_prompt": "yellow",
        "is_controlnet": "False",
        "width": 160,
        "height": 128,
        "steps": 12,
        "seed": 3,
    }
    (after,) = drawn(client, caller.post(body))
    assert after.size == (160, 128)
    assert same(before, after.crop((16, 0, 144, 128)), shrunk(disc(), 9))
    assert judge(after).background == "blue"
