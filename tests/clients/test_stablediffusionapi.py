"""Unmodified PyPI clients of stablediffusionapi.com, against the platform's processes and real images."""

import http.client
import io
import json
import sys
import time
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.e2e.installation import Installation, eventually
from tests.support.judge import judge

Text2Img = pytest.importorskip("StableDiffusionAPI").Text2Img
modelslab = pytest.importorskip("modelslab")
pytest.importorskip("modelslab_py")

pytestmark = [pytest.mark.processes, pytest.mark.demo]

PROMPT = "a red circle on a blue background"
EXPECTED = ("red", "circle", "blue")
# Community models skip CLIP's last layer. With clip skip, the demo model still follows this prompt.
COMMUNITY_PROMPT = "a yellow star on a purple background"
COMMUNITY_EXPECTED = ("yellow", "star", "purple")
MODEL = "atelier-shapes"
SMALL = {"width": 256, "height": 256, "num_inference_steps": 20, "seed": 8}


@pytest.fixture
def key(installation) -> str:
    return f"{installation.credentials['key_id']}:{installation.credentials['secret']}"


def set_wait_time(installation: Installation, seconds: str) -> None:
    """Restart the web server if its wait time differs."""
    if installation.environment.get("STABLEDIFFUSIONAPI_WAIT_S") != seconds:
        installation.kill("web")
        installation.environment["STABLEDIFFUSIONAPI_WAIT_S"] = seconds
        installation.start("web")


@pytest.fixture
def asynchronous(installation) -> None:
    """Requests return before their job ends."""
    set_wait_time(installation, "0")


@pytest.fixture
def synchronous(installation) -> None:
    """Requests wait for their job."""
    set_wait_time(installation, "240")


@pytest.fixture
def without_tls(installation, monkeypatch) -> list[str]:
    """Redirect HTTPS connections to the platform, and record the request lines: the client's host is fixed."""
    lines: list[str] = []

    class Plain(http.client.HTTPConnection):
        def __init__(self, _host: str) -> None:
            super().__init__("127.0.0.1", installation.port)

        def putrequest(self, method: str, url: str, *arguments: object, **options: object) -> None:
            lines.append(f"{method} {url}")
            super().putrequest(method, url, *arguments, **options)

    monkeypatch.setattr(http.client, "HTTPSConnection", Plain)
    return lines


@pytest.fixture
def first_client(key, without_tls, monkeypatch):
    import StableDiffusionAPI

    StableDiffusionAPI.Key(key)
    return StableDiffusionAPI


def contents(image: Image.Image) -> tuple[str, str, str]:
    verdict = judge(image)
    return verdict.color, verdict.shape, verdict.background


def saved_image(path: Path) -> Image.Image:
    """Wait until the client's thread has written the whole file."""

    def complete_image() -> Image.Image | None:
        try:
            return Image.open(path).convert("RGB")
        except (OSError, SyntaxError):
            return None

    return eventually(complete_image, "the image is saved")


def fetched_image(url: str) -> Image.Image:
    """Fetch an output by its URL, without a key."""
    return Image.open(io.BytesIO(httpx.get(url).content))


def test_stablediffusionapi_client_fetches_a_queued_result(
    asynchronous, installation, first_client, without_tls, tmp_path, monkeypatch
):
    """The client sleeps for the estimated time and polls once. Its sleep is replaced by a wait for the job."""
    module = sys.modules["StableDiffusionAPI.Text2Img"]
    sleep, slept = time.sleep, []

    class Clock:
        @staticmethod
        def sleep(seconds: float) -> None:
            slept.append(seconds)
            eventually(lambda: not open_jobs(installation), "the job ends")
            sleep(0)

    monkeypatch.setattr(module, "time", Clock)
    first_client.Text2Img(PROMPT, 300, 512, str(tmp_path / "late.png"))
    assert contents(saved_image(tmp_path / "late.png")) == EXPECTED
    assert isinstance(slept[0], float)
    text2img, fetch, download = without_tls
    assert text2img.startswith("POST /api/v3/text2img?prompt=")
    assert fetch.startswith("POST http://127.0.0.1:")  # an absolute-form target
    assert download.startswith("GET /outputs/")


def open_jobs(installation: Installation) -> int:
    return installation.python(
        "from jobs.models import ACTIVE, Job; print(Job.objects.filter(state__in=ACTIVE).count())"
    )


def test_modelslab_py_polls_until_the_job_is_done(asynchronous, installation, key):
    from modelslab_py.core.apis.community import Community
    from modelslab_py.core.client import Client
    from modelslab_py.schemas.community import Text2Image

    client = Client(key, fetch_retry=240, fetch_timeout=1)
    client.base_url = f"{installation.base_url}/api/"
    community = Community(client)
    body = community.text_to_image(Text2Image(prompt=COMMUNITY_PROMPT, model_id=MODEL, **SMALL))
    assert body["status"] == "processing"
    result = community.fetch(str(body["id"]))
    assert result["status"] == "success"
    assert [contents(fetched_image(url)) for url in result["output"]] == [COMMUNITY_EXPECTED]


def test_stablediffusionapi_client_gets_its_image_synchronously(synchronous, first_client, tmp_path):
    first_client.Text2Img(PROMPT, 512, 512, str(tmp_path / "first.png"))
    image = saved_image(tmp_path / "first.png")
    assert (image.size, contents(image)) == ((512, 512), EXPECTED)


def test_stablediffusionapi_client_uses_a_community_model(synchronous, first_client, tmp_path):
    """The client sends neither seed nor size, so that only the colors are predictable, not the shape."""
    from StableDiffusionAPI import Community

    Community.Text2Img(MODEL, COMMUNITY_PROMPT, str(tmp_path / "community.png"))
    image = saved_image(tmp_path / "community.png")
    color, _shape, background = contents(image)
    assert (image.size, color, background) == ((512, 512), "yellow", "purple")


def test_modelslab_sends_every_documented_field(synchronous, installation, key):
    models = modelslab.CommunityModels()
    models.base_url = f"{installation.base_url}/api/v6/images"
    null_fields = dict.fromkeys(
        (
            "negative_prompt",
            "embeddings_model",
            "lora_model",
            "lora_strength",
            "vae",
            "webhook",
            "track_id",
        )
    )
    switches = {"panorama": "no", "self_attention": "no", "multi_lingual": "no", "upscale": "no"}
    response = models.txt2img(
        key=key,
        model_id=MODEL,
        prompt=COMMUNITY_PROMPT,
        width="256",
        height="256",
        seed=8,
        samples="1",
        num_inference_steps="20",
        safety_checker="no",
        enhance_prompt="yes",
        guidance_scale=7.5,
        tomesd="yes",
        clip_skip="2",
        use_karras_sigmas="yes",
        scheduler="UniPCMultistepScheduler",
        **null_fields,
        **switches,
    )
    body = json.loads(response)
    assert body["status"] == "success", body
    assert [contents(fetched_image(url)) for url in body["output"]] == [COMMUNITY_EXPECTED]
    assert json.loads(models.reload_model(key, MODEL))["status"] == "success"


def test_modelslab_reads_an_error(synchronous, installation):
    models = modelslab.CommunityModels()
    models.base_url = f"{installation.base_url}/api/v6/images"
    assert json.loads(models.fetch_queued("no key", 7))["message"] == "Invalid Api Key"
