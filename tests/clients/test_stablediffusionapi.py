"""Clients of stablediffusionapi.com from PyPI, unchanged, against the platform's own processes."""

import http.client
import io
import json
import sys
import time

import pytest
from PIL import Image

from tests.e2e.installation import Installation, eventually
from tests.fake_runner import TOKEN, FakeRunner

Text2Img = pytest.importorskip("StableDiffusionAPI").Text2Img
modelslab = pytest.importorskip("modelslab")
pytest.importorskip("modelslab_py")

pytestmark = pytest.mark.processes

PROMPT = "a red circle on a blue background"
MODEL = "atelier-shapes"


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    """With a runner that draws nothing, and a web server that lets nobody wait."""
    folder, fake = tmp_path_factory.mktemp("clients"), FakeRunner()
    made = Installation(
        folder, f"sqlite:///{folder / 'atelier.sqlite3'}", RUNNER_TOKEN=TOKEN, STABLEDIFFUSIONAPI_WAIT_S="0"
    )
    made.manage("register_runner", "local", fake.url)
    made.start("web", "generation")
    yield made
    made.stop()
    fake.close()


@pytest.fixture
def key(installation) -> str:
    return f"{installation.credentials['key_id']}:{installation.credentials['secret']}"


@pytest.fixture
def patient(installation) -> None:
    """From here on requests wait for their pictures."""
    if installation.environment["STABLEDIFFUSIONAPI_WAIT_S"] == "0":
        installation.kill("web")
        installation.environment["STABLEDIFFUSIONAPI_WAIT_S"] = "240"
        installation.start("web")


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


def is_picture(path) -> bool:
    try:
        return Image.open(path).size == (512, 512)
    except (OSError, SyntaxError):
        return False


def test_the_first_client_fetches_what_was_late(
    installation, first_client, without_tls, tmp_path, monkeypatch
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
    eventually(lambda: is_picture(tmp_path / "late.png"), "the picture is there")
    assert isinstance(slept[0], float)
    drawing, fetching, getting = without_tls
    assert drawing.startswith("POST /api/v3/text2img?prompt=")
    assert fetching.startswith("POST http://127.0.0.1:")  # an absolute-form target
    assert getting.startswith("GET /outputs/")


def open_jobs(installation: Installation) -> int:
    return installation.python(
        "from jobs.models import ACTIVE, Job; print(Job.objects.filter(state__in=ACTIVE).count())"
    )


def test_modelslab_py_polls_until_it_is_done(installation, key):
    from modelslab_py.core.apis.community import Community
    from modelslab_py.core.client import Client
    from modelslab_py.schemas.community import Text2Image

    client = Client(key, fetch_retry=240, fetch_timeout=1)
    client.base_url = f"{installation.base_url}/api/"
    community = Community(client)
    told = community.text_to_image(Text2Image(prompt=PROMPT, model_id=MODEL, width=64, height=64))
    assert told["status"] == "processing"
    done = community.fetch(str(told["id"]))
    assert (done["status"], len(done["output"])) == ("success", 1)


def test_the_first_client_gets_its_picture_at_once(patient, first_client, tmp_path):
    first_client.Text2Img(PROMPT, 512, 512, str(tmp_path / "first.png"))
    eventually(lambda: is_picture(tmp_path / "first.png"), "the picture is there")


def test_the_first_clients_community_models(patient, first_client, tmp_path):
    from StableDiffusionAPI import Community

    Community.Text2Img(MODEL, PROMPT, str(tmp_path / "community.png"))
    eventually(lambda: is_picture(tmp_path / "community.png"), "the picture is there")


def test_modelslab_sends_every_field_there_is(patient, installation, key):
    models = modelslab.CommunityModels()
    models.base_url = f"{installation.base_url}/api/v6/images"
    nothing = dict.fromkeys(
        (
            "negative_prompt",
            "seed",
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
        prompt=PROMPT,
        width="64",
        height="64",
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
    picture = installation.client.get(told["output"][0], auth=None).content
    assert Image.open(io.BytesIO(picture)).size == (64, 64)
    assert json.loads(models.reload_model(key, MODEL))["status"] == "success"


def test_modelslab_reads_a_refusal(patient, installation):
    models = modelslab.CommunityModels()
    models.base_url = f"{installation.base_url}/api/v6/images"
    assert json.loads(models.fetch_queued("no key", 7))["message"] == "Invalid Api Key"
