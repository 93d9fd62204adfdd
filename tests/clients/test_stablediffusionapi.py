"""Clients of stablediffusionapi.com from PyPI, unchanged, against the platform's own processes and real drawings."""

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
ASKED = ("red", "circle", "blue")
# Community models leave out CLIP's last layer. Few prompts mean the same to the demo model then; this one does.
COMMUNITY_PROMPT = "a yellow star on a purple background"
COMMUNITY_ASKED = ("yellow", "star", "purple")
MODEL = "atelier-shapes"
SMALL = {"width": 256, "height": 256, "num_inference_steps": 20, "seed": 8}


@pytest.fixture
def key(installation) -> str:
    return f"{installation.credentials['key_id']}:{installation.credentials['secret']}"


def let_requests_wait(installation: Installation, seconds: str) -> None:
    """From here on."""
    if installation.environment.get("STABLEDIFFUSIONAPI_WAIT_S") != seconds:
        installation.kill("web")
        installation.environment["STABLEDIFFUSIONAPI_WAIT_S"] = seconds
        installation.start("web")


@pytest.fixture
def hurried(installation) -> None:
    """Nobody waits for a picture within a request."""
    let_requests_wait(installation, "0")


@pytest.fixture
def patient(installation) -> None:
    let_requests_wait(installation, "240")


@pytest.fixture
def without_tls(installation, monkeypatch) -> list[str]:
    """The first client knows its host by heart and speaks TLS to it; what it asks for is written down."""
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


def shown(picture: Image.Image) -> tuple[str, str, str]:
    verdict = judge(picture)
    return verdict.colour, verdict.shape, verdict.background


def saved_picture(path: Path) -> Image.Image:
    """Once the client's thread has written all of it."""

    def whole() -> Image.Image | None:
        try:
            return Image.open(path).convert("RGB")
        except (OSError, SyntaxError):
            return None

    return eventually(whole, "the picture is there")


def fetched_picture(url: str) -> Image.Image:
    """With no key: the address is enough."""
    return Image.open(io.BytesIO(httpx.get(url).content))


def test_the_first_client_fetches_what_was_late(
    hurried, installation, first_client, without_tls, tmp_path, monkeypatch
):
    """It sleeps for the estimated time and asks once; the time is as long here as the job needs."""
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
    assert shown(saved_picture(tmp_path / "late.png")) == ASKED
    assert isinstance(slept[0], float)
    drawing, fetching, getting = without_tls
    assert drawing.startswith("POST /api/v3/text2img?prompt=")
    assert fetching.startswith("POST http://127.0.0.1:")  # an absolute-form target
    assert getting.startswith("GET /outputs/")


def open_jobs(installation: Installation) -> int:
    return installation.python(
        "from jobs.models import ACTIVE, Job; print(Job.objects.filter(state__in=ACTIVE).count())"
    )


def test_modelslab_py_polls_until_it_is_done(hurried, installation, key):
    from modelslab_py.core.apis.community import Community
    from modelslab_py.core.client import Client
    from modelslab_py.schemas.community import Text2Image

    client = Client(key, fetch_retry=240, fetch_timeout=1)
    client.base_url = f"{installation.base_url}/api/"
    community = Community(client)
    told = community.text_to_image(Text2Image(prompt=COMMUNITY_PROMPT, model_id=MODEL, **SMALL))
    assert told["status"] == "processing"
    done = community.fetch(str(told["id"]))
    assert done["status"] == "success"
    assert [shown(fetched_picture(url)) for url in done["output"]] == [COMMUNITY_ASKED]


def test_the_first_client_gets_its_picture_at_once(patient, first_client, tmp_path):
    first_client.Text2Img(PROMPT, 512, 512, str(tmp_path / "first.png"))
    drawn = saved_picture(tmp_path / "first.png")
    assert (drawn.size, shown(drawn)) == ((512, 512), ASKED)


def test_the_first_clients_community_models(patient, first_client, tmp_path):
    """It names neither seed nor size: of these drawings the colours can be relied on, the outline cannot."""
    from StableDiffusionAPI import Community

    Community.Text2Img(MODEL, COMMUNITY_PROMPT, str(tmp_path / "community.png"))
    drawn = saved_picture(tmp_path / "community.png")
    colour, _outline, background = shown(drawn)
    assert (drawn.size, colour, background) == ((512, 512), "yellow", "purple")


def test_modelslab_sends_every_field_there_is(patient, installation, key):
    models = modelslab.CommunityModels()
    models.base_url = f"{installation.base_url}/api/v6/images"
    nothing = dict.fromkeys(
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
    answer = models.txt2img(
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
        **nothing,
        **switches,
    )
    told = json.loads(answer)
    assert told["status"] == "success", told
    assert [shown(fetched_picture(url)) for url in told["output"]] == [COMMUNITY_ASKED]
    assert json.loads(models.reload_model(key, MODEL))["status"] == "success"


def test_modelslab_reads_a_refusal(patient, installation):
    models = modelslab.CommunityModels()
    models.base_url = f"{installation.base_url}/api/v6/images"
    assert json.loads(models.fetch_queued("no key", 7))["message"] == "Invalid Api Key"
