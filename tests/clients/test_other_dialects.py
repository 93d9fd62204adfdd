"""Real images of the demo models through dialects that have no other test with a real runner."""

import base64
import io
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image, ImageDraw

from models_registry.models import Family, Kind, ModelFile, StylePreset
from tests.e2e.installation import eventually
from tests.support.demo_engine import demo_file
from tests.support.judge import COLORS, judge
from tests.support.web_server import WebServer, answer

pytestmark = [pytest.mark.demo, pytest.mark.django_db(transaction=True)]

CANNY = "controlnet/atelier-canny.safetensors"
PROMPT = "a red circle on a blue background"
EXPECTED = ("red", "circle", "blue")


def contents(image: Image.Image) -> tuple[str, str, str]:
    verdict = judge(image)
    return verdict.color, verdict.shape, verdict.background


def ended_task(client: httpx.Client) -> dict[str, Any] | None:
    task = client.post("/v2/queryTaskInfo", json={"businessTaskId": "mine"}).json()["data"]
    return task if task["differentialImageRspList"] else None


def disc(side: int = 256) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - side / 2
    return np.hypot(x, y) < side / 4


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def product() -> np.ndarray:
    """A yellow disc on gray."""
    return np.where(disc()[..., None], COLORS["yellow"], 128).astype(np.uint8)


@pytest.fixture
def control_model(platform) -> ModelFile:
    fields = {"kind": Kind.CONTROLNET, "family": Family.SD15, "name": "atelier-canny", "path": CANNY}
    return ModelFile.objects.create(**fields, sha256=demo_file(CANNY).sha256)


@pytest.fixture
def image_server(settings, product) -> Iterator[WebServer]:
    settings.OUTBOUND_ALLOWED = ["127.0.0.0/8"]
    server = WebServer()
    server.answers["/product.png"] = answer(200, png(product))
    yield server
    server.close()


@pytest.fixture
def fetched() -> Callable[[str], Image.Image]:
    return lambda url: Image.open(io.BytesIO(httpx.get(url).content))


@pytest.fixture
def visual(platform, credentials) -> Any:
    """Client of Volcengine's SDK."""
    service = pytest.importorskip("volcengine.visual.VisualService").VisualService()
    key_id, secret = credentials
    service.set_ak(key_id)
    service.set_sk(secret)
    service.set_host(platform.removeprefix("http://"))
    return service


def first_image(body: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(body["data"]["binary_data_base64"][0]))).convert("RGB")


def test_volcengine_sdk_applies_a_style(visual, control_model, product) -> None:
    StylePreset.objects.create(
        key="img2img_style",
        title="图生图",
        checkpoint=ModelFile.objects.get(kind=Kind.CHECKPOINT),
        control_model=control_model,
        control_module="canny",
        control_weight=0.8,
        strength=0.95,
    )
    body = visual.cv_process(
        {
            "req_key": "img2img_style",
            "prompt": PROMPT,
            "binary_data_base64": [base64.b64encode(png(product)).decode()],
            "strength": 0.95,
            "scale": 7,
            "ddim_steps": 20,
            "seed": 8,
            "long_resolution": 256,
        }
    )
    assert contents(first_image(body)) == EXPECTED


def encoded(*images: np.ndarray) -> list[str]:
    return [base64.b64encode(png(image)).decode() for image in images]


def test_volcengine_sdk_inpaints(visual) -> None:
    StylePreset.objects.create(key="i2i_inpainting_edit", task=StylePreset.Task.INPAINT, strength=1.0)
    white = np.full((256, 256, 3), COLORS["white"], np.uint8)
    before = np.where(disc()[..., None], COLORS["yellow"], white).astype(np.uint8)
    mask = np.zeros((256, 256), np.uint8)
    mask[32:224, 32:224] = 255
    body = visual.img2img_inpainting_edit(
        {
            "custom_prompt": "a blue square on a white background",
            "req_key": "i2i_inpainting_edit",
            "scale": 5,
            "seed": 5,
            "steps": 25,
            "binary_data_base64": encoded(before, mask),
        }
    )
    image = first_image(body)
    assert contents(image) == ("blue", "square", "white")
    assert (np.asarray(image)[:20] == before[:20]).all()


def test_volcengine_sdk_outpaints(visual) -> None:
    StylePreset.objects.create(key="i2i_outpainting", task=StylePreset.Task.OUTPAINT, strength=0.8)
    green = np.full((160, 160, 3), COLORS["green"], np.uint8)
    before = np.where(disc(160)[..., None], COLORS["red"], green).astype(np.uint8)
    body = visual.img2img_outpainting(
        {
            "req_key": "i2i_outpainting",
            "binary_data_base64": encoded(before),
            "image_urls": [],
            "custom_prompt": "a red circle on a green background",
            "steps": 30,
            "strength": 0.8,
            "scale": 7.0,
            "seed": 0,
            "top": 0.3,
            "bottom": 0.3,
            "left": 0.3,
            "right": 0.3,
            "max_height": 1920,
            "max_width": 1920,
            "logo_info": {"add_logo": False, "position": 0, "language": 0, "opacity": 0.3},
        }
    )
    image = first_image(body)
    assert image.size == (256, 256)
    assert contents(image) == ("red", "circle", "green")
    assert (np.asarray(image)[64:192, 64:192] == before[16:144, 16:144]).all()


def test_stablediffusionapi_generates_an_image(platform, credentials, fetched) -> None:
    fields = {"prompt": PROMPT, "width": "256", "height": "256", "samples": "1", "num_inference_steps": "20"}
    body = httpx.post(
        f"{platform}/api/v3/text2img",
        json=fields | {"key": ":".join(credentials), "seed": 8, "guidance_scale": 7},
        timeout=300,
    ).json()
    assert body["status"] == "success"
    assert contents(fetched(body["output"][0])) == EXPECTED


def test_zhiqite_applies_a_canny_controlnet(
    platform, credentials, control_model, image_server, fetched
) -> None:
    key_id, secret = credentials
    headers = {"X-Request-req-accessKeyId": key_id, "X-Request-req-accessKeySecret": secret}
    unit = {
        "image_link": image_server.url("/product.png"),
        "enabled": True,
        "module": "canny",
        "model": "atelier-canny",
        "weight": 1,
        "threshold_a": 50,
        "threshold_b": 100,
    }
    scripts = {
        "sd_model_checkpoint": "atelier-shapes.safetensors",
        "id_task": "mine",
        "controlnet": {"args": [unit]},
    }
    with httpx.Client(base_url=f"{platform}/AIGCImgOpenServ/saas/sd", headers=headers, timeout=300) as client:
        fields = {"prompt": PROMPT, "width": 256, "height": 256, "steps": 20, "seed": "8"}
        client.post("/v2/controlnet", json=fields | {"alwayson_scripts": scripts}).raise_for_status()
        task = eventually(lambda: ended_task(client), "the task ends")
    image = fetched(task["differentialImageRspList"][0]["image_url"])
    assert contents(image) == EXPECTED
    red = np.asarray(image.convert("RGB")).astype(int)
    overlap = (red[..., 0] > red[..., 2]) & disc()
    assert overlap.sum() > 0.8 * disc().sum()


def test_native_api_names_what_is_in_an_image(http, demo_tagger) -> None:
    image, file = Image.new("RGB", (200, 320), (250, 220, 45)), io.BytesIO()
    ImageDraw.Draw(image).polygon([(100, 80), (30, 220), (170, 220)], fill=(140, 50, 170))
    image.save(file, "PNG")
    data = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    body = {"task": "analyze", "init_images": [data], "analysis": {"find": "tags"}}
    job = http.post("/api/v1/jobs", json=body).json()
    ended = eventually(
        lambda: (found := http.get(job["url"]).json())["finished_at"] and found, "the end of the job"
    )
    [found] = ended["findings"]
    assert {"purple", "triangle"} <= {tag["name"] for tag in found["data"]["tags"]}
