"""The ``openai`` SDK, and the requests of Open WebUI, LiteLLM and Dify, against the platform's processes and real images.

The requests were read from the public sources of these programs.
"""

import base64
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image, ImageDraw

from access.keys.bearer_tokens import opaque_token
from tests.e2e.installation import Installation
from tests.support.judge import COLORS, judge

openai = pytest.importorskip("openai")

pytestmark = [pytest.mark.processes, pytest.mark.demo]

PROMPT = "a red circle on a blue background"
EXPECTED = ("red", "circle", "blue")
SEED = {"extra_body": {"seed": 8}}


def contents(image: Image.Image) -> tuple[str, str, str]:
    verdict = judge(image)
    return verdict.color, verdict.shape, verdict.background


def decoded(encoded: str | None) -> Image.Image:
    assert encoded
    return Image.open(io.BytesIO(base64.b64decode(encoded)))


def png_file(image: Image.Image, name: str = "image.png") -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, "PNG")
    file.seek(0)
    file.name = name
    return file


@pytest.fixture
def token(installation: Installation) -> str:
    return opaque_token(*(installation.credentials[name] for name in ("key_id", "secret")))


@pytest.fixture
def client(installation: Installation, token: str) -> Iterator[Any]:
    with openai.OpenAI(api_key=token, base_url=f"{installation.base_url}/v1", max_retries=0) as client:
        yield client


@pytest.fixture
def disc() -> Image.Image:
    """A yellow disc on green."""
    image = Image.new("RGB", (256, 256), COLORS["green"])
    ImageDraw.Draw(image).ellipse((64, 64, 192, 192), fill=COLORS["yellow"])
    return image


def jobs_of(installation: Installation, end_user: str) -> int:
    return installation.python(f"""
from jobs.models import Job
print(Job.objects.filter(end_user={end_user!r}).count())
""")


# The SDK


def test_image_as_base64(client) -> None:
    response = client.images.generate(model="gpt-image-2", prompt=PROMPT, quality="medium", **SEED)
    (image,) = response.data
    assert contents(decoded(image.b64_json)) == EXPECTED
    assert (image.url, image.revised_prompt) == (None, PROMPT)
    assert (response.size, response.quality) == ("256x256", "medium")
    assert (response.output_format, response.background) == ("png", "opaque")
    assert response.usage.output_tokens == 256
    assert response.usage.total_tokens == response.usage.input_tokens + 256
    assert response.warnings == ["gpt-image-2 is not a model of this server: atelier-shapes was used"]


def test_images_by_url(client) -> None:
    response = client.images.generate(
        model="dall-e-3", prompt=PROMPT, n=2, size="256x256", response_format="url", **SEED
    )
    images = [Image.open(io.BytesIO(httpx.get(image.url).content)) for image in response.data]
    assert contents(images[0]) == EXPECTED
    assert np.asarray(images[0]).tolist() != np.asarray(images[1]).tolist()


@pytest.mark.parametrize("output_format", ["jpeg", "webp"])
def test_other_formats(client, output_format) -> None:
    response = client.images.generate(
        prompt=PROMPT, output_format=output_format, output_compression=90, **SEED
    )
    image = decoded(response.data[0].b64_json)
    assert (image.format, contents(image)) == (output_format.upper(), EXPECTED)


def test_transparent_background(client) -> None:
    response = client.images.generate(
        prompt="a red circle on a white background", background="transparent", **SEED
    )
    alpha = np.asarray(decoded(response.data[0].b64_json))[..., 3]
    assert max(alpha[4, 4], alpha[-5, -5]) < 50
    assert alpha[alpha > 200].size > 0.05 * alpha.size
    assert response.background == "transparent"


def test_fields_of_extra_body_have_an_effect(client) -> None:
    fields = {"seed": 8, "steps": 20, "guidance_scale": 7, "sampler": "DPM++ 2M", "scheduler": "Karras"}
    first, again, other = (
        client.images.generate(prompt=PROMPT, extra_body=fields | changed).data[0].b64_json
        for changed in ({}, {}, {"loras": [{"name": "atelier-night", "weight": 1.0}]})
    )
    pixels = [np.asarray(decoded(encoded)).astype(int) for encoded in (first, again, other)]
    assert (pixels[0] == pixels[1]).all()
    assert abs(pixels[0] - pixels[2]).mean() > 5


def test_edit_with_a_mask_changes_only_its_transparent_part(client, disc) -> None:
    mask = Image.new("RGBA", disc.size, (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (48, 48, 208, 208))
    response = client.images.edit(
        image=png_file(disc), mask=png_file(mask), prompt="a red square on a green background", **SEED
    )
    edited = decoded(response.data[0].b64_json)
    before, after = np.asarray(disc).astype(int), np.asarray(edited.convert("RGB")).astype(int)
    outside = np.ones(disc.size[::-1], bool)
    outside[32:224, 32:224] = False  # the mask is blurred
    assert abs(before - after)[outside].max() <= 2
    assert contents(edited)[0] == "red"


def test_edit_without_a_mask_follows_the_prompt_and_the_image(client, disc) -> None:
    response = client.images.edit(
        image=[png_file(disc)], prompt="a yellow circle on a purple background", input_fidelity="low", **SEED
    )
    assert contents(decoded(response.data[0].b64_json))[:2] == ("yellow", "circle")


def test_variation_is_like_its_image(client, disc) -> None:
    response = client.images.create_variation(image=png_file(disc), n=1, response_format="b64_json")
    pixels = np.asarray(decoded(response.data[0].b64_json).convert("RGB")).astype(int)
    distance = abs(pixels - np.asarray(disc)).mean()
    assert 0.5 < distance < 60


def test_stream_of_partial_images(client) -> None:
    events = list(
        client.images.generate(
            prompt=PROMPT, stream=True, partial_images=2, extra_body={"seed": 8, "steps": 60}
        )
    )
    *partial, last = events
    assert [event.type for event in partial] == ["image_generation.partial_image"] * len(partial)
    assert 1 <= len(partial) <= 2
    for index, event in enumerate(partial):
        assert event.partial_image_index == index
        assert decoded(event.b64_json).size == (256, 256)
    assert last.type == "image_generation.completed"
    assert contents(decoded(last.b64_json)) == EXPECTED
    assert last.usage.output_tokens == 256


def test_stream_of_an_edit(client, disc) -> None:
    (event,) = client.images.edit(image=png_file(disc), prompt=PROMPT, stream=True)
    assert event.type == "image_edit.completed"


def test_models(client) -> None:
    names = [model.id for model in client.models.list()]
    assert "atelier-shapes" in names
    assert client.models.retrieve("atelier-shapes").owned_by == "atelier"


def test_errors_are_the_exceptions_of_the_sdk(client, installation, disc) -> None:
    with pytest.raises(openai.BadRequestError) as bad:
        client.images.generate(prompt=PROMPT, size="1x1")
    assert (bad.value.param, bad.value.type) == ("size", "invalid_request_error")
    assert bad.value.request_id
    with pytest.raises(openai.BadRequestError) as bad:
        client.images.edit(image=[png_file(disc)] * 2, prompt=PROMPT)
    assert bad.value.param == "image"
    with pytest.raises(openai.NotFoundError) as missing:
        client.images.generate(prompt=PROMPT, model="nowhere")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nowhere")
    with pytest.raises(openai.NotFoundError, match="generates images"):
        client.chat.completions.create(model="gpt-5", messages=[{"role": "user", "content": "hello"}])
    with pytest.raises(openai.NotFoundError, match="generates images"):
        client.responses.create(model="gpt-5", input="hello")
    with pytest.raises(openai.AuthenticationError) as denied:
        client.with_options(api_key="sk-nothing").models.list()
    assert denied.value.code == "invalid_api_key"


def test_refused_key_and_spent_quota_are_exceptions_of_the_sdk(client, installation) -> None:
    tokens = installation.python("""
import json
from access.keys.bearer_tokens import opaque_token
from access.models import AccessKey, BusinessSource
source = BusinessSource.objects.get(name="demo")
issued = [AccessKey.issue(source, dialects=["a1111"]), AccessKey.issue(source, images_per_day=0)]
print(json.dumps([opaque_token(key.key_id, secret) for key, secret in issued]))
""")
    with pytest.raises(openai.PermissionDeniedError):
        client.with_options(api_key=tokens[0]).models.list()
    with pytest.raises(openai.RateLimitError) as spent:
        client.with_options(api_key=tokens[1], max_retries=5).images.generate(prompt=PROMPT)
    assert spent.value.code == "insufficient_quota"


def test_asynchronous_client(installation, token) -> None:
    import asyncio

    async def generate() -> Any:
        async with openai.AsyncOpenAI(api_key=token, base_url=f"{installation.base_url}/v1") as client:
            return await client.images.generate(prompt=PROMPT, **SEED)

    assert contents(decoded(asyncio.run(generate()).data[0].b64_json)) == EXPECTED


def test_job_is_fetched_later(client) -> None:
    response = client.images.with_raw_response.generate(prompt=PROMPT, extra_body={"async": True, "seed": 8})
    job = response.http_response.json()
    assert (response.http_response.status_code, job["object"]) == (202, "image.generation.job")
    while True:
        answer = client.get(f"/images/generations/{job['id']}", cast_to=httpx.Response)
        if answer.status_code == 200:
            break
        threading.Event().wait(0.2)
    assert contents(decoded(answer.json()["data"][0]["b64_json"])) == EXPECTED


# Retries


class LosesTheFirstAnswer(BaseHTTPRequestHandler):
    """A proxy that forwards every request, but closes the connection instead of sending the first answer."""

    protocol_version = "HTTP/1.1"
    target = ""
    keys: list[str | None]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.keys.append(self.headers.get("Idempotency-Key"))
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        answer = httpx.post(self.target + self.path, content=body, headers=headers, timeout=240)
        if len(self.keys) == 1:
            self.close_connection = True
            return
        self.send_response(answer.status_code)
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *args: object) -> None:
        """Keep access logs out of the test report."""


@pytest.fixture
def lossy_url(installation: Installation) -> Iterator[tuple[str, list[str | None]]]:
    keys: list[str | None] = []
    handler = type("Handler", (LosesTheFirstAnswer,), {"target": installation.base_url, "keys": keys})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1", keys
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("operation", ["generate", "edit"])
def test_lost_answer_is_asked_for_again_and_charged_once(
    installation, token, lossy_url, disc, operation
) -> None:
    url, keys = lossy_url
    user = f"retried {operation}"
    fields = {"prompt": PROMPT, "user": user, "extra_headers": {"Idempotency-Key": f"once-{operation}"}}
    with openai.OpenAI(api_key=token, base_url=url, max_retries=2) as client:
        if operation == "generate":
            response = client.images.generate(**fields)
        else:
            response = client.images.edit(image=png_file(disc), **fields)
    assert decoded(response.data[0].b64_json).size == (256, 256)
    assert keys == [f"once-{operation}"] * 2
    assert jobs_of(installation, user) == 1


# Other programs


@pytest.fixture
def http(installation: Installation, token: str) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"{installation.base_url}/v1", headers=headers, timeout=240) as http:
        yield http


def test_open_webui_generates(http) -> None:
    """Engine "openai". The user's additional parameters are merged into the body."""
    headers = {"X-OpenWebUI-User-Name": "me", "X-OpenWebUI-User-Id": "7"}
    body = {"model": "dall-e-2", "prompt": PROMPT, "n": 1, "size": "256x256", "response_format": "b64_json"}
    response = http.post("/images/generations", json=body | {"seed": 8}, headers=headers)
    assert contents(decoded(response.json()["data"][0]["b64_json"])) == EXPECTED
    refused = http.post("/images/generations", json=body | {"n": 11})
    assert isinstance(refused.json()["error"]["message"], str)


@pytest.mark.parametrize("name", ["image", "image[]"])
def test_open_webui_edits(http, disc, name) -> None:
    """A form whose values are all text. Images of answers with URLs are fetched with the same headers."""
    data = {"model": "gpt-image-1", "prompt": PROMPT, "n": "1", "size": "256x256", "background": "opaque"}
    files = [(name, ("file.png", png_file(disc).getvalue(), "image/png"))]
    response = http.post("/images/edits?api-version=2025-04-01-preview", data=data, files=files)
    assert decoded(response.json()["data"][0]["b64_json"]).size == (256, 256)
    by_url = http.post("/images/edits", data=data | {"response_format": "url"}, files=files).json()
    image = http.get(by_url["data"][0]["url"])
    assert image.headers["Content-Type"] == "image/png"


def test_open_webui_lists_models(http) -> None:
    assert {"id", "object"} <= http.get("/models").json()["data"][0].keys()


def test_litellm_generates_and_edits(client, http, disc) -> None:
    """Generations by the SDK, and edits by a form with ``image[]`` and without ``response_format``."""
    response = client.images.generate(
        model="atelier-shapes", prompt=PROMPT, n=1, size="256x256", user="litellm", **SEED
    )
    assert response.model_dump()["usage"]["input_tokens_details"]["text_tokens"] > 0
    files = [("image[]", ("image.png", png_file(disc).getvalue(), "image/png"))]
    edited = http.post("/images/edits", data={"model": "atelier-shapes", "prompt": PROMPT}, files=files)
    assert edited.json()["data"][0]["b64_json"]


def test_dify_generates_and_edits(client, disc) -> None:
    """The SDK with one of the vendor's models, and an organization in the headers."""
    dify = client.with_options(organization="org-1")
    fields = {"model": "gpt-image-2.5-flare", "prompt": PROMPT, "n": 1, "quality": "high"}
    response = dify.images.generate(**fields, output_format="jpeg", output_compression=80, moderation="low")
    assert decoded(response.data[0].b64_json).format == "JPEG"
    assert response.usage.input_tokens_details.text_tokens > 0
    edited = dify.images.edit(**fields, image=[png_file(disc, "input_image.png")])
    assert edited.data[0].b64_json
