"""Server-side request forgery: hostile URLs in every field of every dialect that takes one.

No address that is not allowed is called, and so none of its content is in a response or in storage.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from access.models import AccessKey
from jobs.models import InputPicture, Job
from jobs.models.callback import Callback
from models_registry.models import StylePreset
from tests.dialects.a1111.conftest import Caller as A1111
from tests.dialects.ark.conftest import Caller as Ark
from tests.dialects.native.conftest import Caller as Native
from tests.dialects.openai.conftest import Caller as OpenAI
from tests.dialects.smzdm.conftest import register
from tests.dialects.stablediffusionapi.conftest import Caller as StableDiffusionAPI
from tests.dialects.stablediffusionapi.conftest import data_uri
from tests.dialects.volcengine.conftest import Caller as Volcengine
from tests.dialects.zhiqite.conftest import Caller as Zhiqite
from tests.dialects.zhiqite.conftest import generation_body
from tests.support.input_images import file_of, quarters
from tests.support.web_server import WebServer, answer, redirect

pytestmark = [pytest.mark.slow, pytest.mark.django_db, pytest.mark.postgres]

SECRET = b"internal-metadata-0451"
ALLOWED = "allowed.localhost"  # the only host that the source may call
# Hosts that mean 127.0.0.1, or a private address at which nothing listens.
HOSTS = [
    "127.0.0.1", "127.0.0.1.", "127.1", "0x7f000001", "0x7f.1.", "2130706433", "2130706433.", "017700000001",
    "0", "0.0.0.0", "localhost", "localhost.", "LocalHost", "other.localhost", "127。0。0。1", "[::1]", "[::]",
    "[::ffff:127.0.0.1]", "[0:0:0:0:0:ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "10.0.0.1",
    "169.254.169.254", "0xa9fea9fe.", "user:word@127.0.0.1", f"{ALLOWED}@127.0.0.1", "１２７.0.0.1",
    "127.0.0.1%2e", "127.0.0.1..", "[fe80::1%25lo]",
]  # fmt: skip
OTHER_URLS = [
    "file:///etc/passwd",
    "FILE:///etc/passwd",
    "gopher://127.0.0.1:{port}/_GET%20/",
    "ftp://127.0.0.1:{port}/secret",
    "//127.0.0.1:{port}/secret",
    "http:127.0.0.1:{port}/secret",
    "http:///127.0.0.1:{port}/secret",
    "http://127.0.0.1:{port}\\@allowed.localhost/secret",
    "http://127.0.0.1:{port}#@allowed.localhost/secret",
]
REDIRECTS = ["127.0.0.1", "127.0.0.1.", "localhost.", "2130706433", "[::ffff:127.0.0.1]", "other.localhost"]


@pytest.fixture
def secret_host() -> Iterator[WebServer]:
    """A server that the source may not call. Everything there is an image with the secret in its metadata."""
    server = WebServer()
    image = answer(200, file_of(quarters()) + SECRET, Content_Type="image/png")
    server.answers = dict.fromkeys(("/secret", "/", "/_GET%20/", "/latest/meta-data"), image)
    yield server
    server.close()


@pytest.fixture
def allowed_host(source, secret_host) -> Iterator[WebServer]:
    server = WebServer()
    server.answers["/image"] = answer(200, file_of(quarters()))
    for index, host in enumerate(REDIRECTS):
        server.answers[f"/redirect/{index}"] = redirect(secret_host.url("/secret", host=host))
    source.reachable = [ALLOWED]
    source.keyless_networks = ["127.0.0.0/8"]
    source.save()
    yield server
    server.close()


def hostile_urls(secret_host: WebServer, allowed_host: WebServer) -> list[str]:
    direct = [f"http://{host}:{secret_host.port}/secret" for host in HOSTS]
    other = [url.format(port=secret_host.port) for url in OTHER_URLS]
    redirected = [allowed_host.url(f"/redirect/{index}", host=ALLOWED) for index in range(len(REDIRECTS))]
    return direct + other + redirected


Send = Callable[[str], Any]


def fields(source: Any, image_url: str) -> dict[str, Send]:
    """Field -> a function that sends a request with a URL in it; all other fields are valid."""
    key = AccessKey.issue(source)
    a1111, native, volcengine = A1111(*key), Native(*key), Volcengine(*key)
    zhiqite, sd, smzdm = Zhiqite(*key), StableDiffusionAPI(*key), Client()
    openai = OpenAI(*key)
    image = data_uri(file_of(quarters()))

    def unit(**given: str) -> dict[str, Any]:
        return {
            "alwayson_scripts": {
                "controlnet": {"args": [{"module": "reference_only", "image": image} | given]}
            }
        }

    def detect(url: str, **given: Any) -> Any:
        body = {"controlnet_module": "inpaint", "controlnet_input_images": [image], "controlnet_masks": [url]}
        return a1111.client.post("/controlnet/detect", body | given, content_type="application/json")

    def vendor(path: str, **given: Any) -> Any:
        return sd.post(path, prompt="x", model_id="shapes", controlnet_model="canny", **given)

    def v2(url: str, operation: str = "image2image", **given: Any) -> Any:
        return zhiqite.post(f"sd/v2/{operation}", generation_body(given or {"image_link": url}))

    def v3(operation: str, callback: str = "", **external: str) -> Any:
        named = {"baseModelCode": "shapes.safetensors", "businessTaskId": "v3", **external}
        body = generation_body() | {"callbackUrl": callback, "saasDrawingExternalImageParameterBO": named}
        return zhiqite.post(f"sd/v3/{operation}", body)

    def tool(path: str, **given: str) -> Any:
        return zhiqite.post(f"tool/{path}", {"businessTaskId": "t", "sourceImage": image_url, **given})

    def shop(path: str = "change_background", **given: Any) -> Any:
        body = {"img_url": image_url, "prompt": "x", "from": "shop", **given}
        return smzdm.post(f"/pictures/{path}", body, content_type="application/json")

    return {
        "a1111 init_images": lambda url: a1111.post("img2img", {"init_images": [url]}),
        "a1111 mask": lambda url: a1111.post("img2img", {"init_images": [image], "mask": url}),
        "a1111 image": lambda url: a1111.post("extra-single-image", {"image": url}),
        "a1111 imageList": lambda url: a1111.post(
            "extra-batch-images", {"imageList": [{"data": url, "name": ""}]}
        ),
        "a1111 png-info": lambda url: a1111.post("png-info", {"image": url}),
        "a1111 unit image": lambda url: a1111.post("txt2img", unit(image=url)),
        "a1111 unit mask": lambda url: a1111.post("txt2img", unit(mask=url)),
        "a1111 unit region": lambda url: a1111.post("txt2img", unit(effective_region_mask=url)),
        "a1111 detect": lambda url: detect(image, controlnet_input_images=[url]),
        "a1111 detect masks": detect,
        "ark image": lambda url: Ark(*key).post(image=url),
        "openai image": lambda url: openai.post("images/edits", {"prompt": "x", "image": url}),
        "openai image of a form": lambda url: openai.edit(image=url),
        "openai mask": lambda url: openai.post("images/edits", {"prompt": "x", "image": image, "mask": url}),
        "openai variation": lambda url: openai.post("images/variations", {"image": url}),
        "native init_images": lambda url: native.post("jobs", {"task": "img2img", "init_images": [url]}),
        "native callback_url": lambda url: native.post("jobs", {"prompt": "x", "callback_url": url}),
        "volcengine image_urls": lambda url: volcengine.call(
            "CVProcess", {"req_key": "i2i_outpainting", "image_urls": [url]}
        ),
        "volcengine image_url": lambda url: volcengine.call(
            "CVSync2AsyncSubmitTask", {"req_key": "i2i_outpainting", "image_url": url}
        ),
        "volcengine mask": lambda url: volcengine.call(
            "CVProcess", {"req_key": "i2i_outpainting", "image_urls": [image_url, url]}
        ),
        "stablediffusionapi init_image": lambda url: vendor("v3/img2img", init_image=url),
        "stablediffusionapi mask_image": lambda url: vendor("v3/inpaint", init_image=image, mask_image=url),
        "stablediffusionapi control_image": lambda url: vendor(
            "v5/controlnet", init_image=image, control_image=url
        ),
        "stablediffusionapi url": lambda url: vendor("v3/super_resolution", url=url),
        "stablediffusionapi webhook": lambda url: vendor("v3/text2img", webhook=url),
        "zhiqite v2 image_link": v2,
        "zhiqite v2 mask_link": lambda url: v2(url, image_link=image_url, mask_link=url),
        "zhiqite v2 unit": lambda url: v2(
            url,
            "text2image",
            controlnet={"args": [{"module": "reference_only", "image_link": url, "enabled": True}]},
        ),
        "zhiqite v2 callbackUrl": lambda url: zhiqite.post(
            "sd/v2/text2image", generation_body() | {"callbackUrl": url}
        ),
        "zhiqite v3 sourceImageUrl": lambda url: v3("image2Image", sourceImageUrl=url),
        "zhiqite v3 callbackUrl": lambda url: v3("text2Image", url),
        "zhiqite tool sourceImage": lambda url: tool(
            "imgExpand", sourceImage=url, horizontalExpansionRatio="2"
        ),
        "zhiqite tool maskImage": lambda url: tool("erase", maskImage=url),
        "zhiqite tool callbackUrl": lambda url: tool("enlarge", callbackUrl=url),
        "smzdm img_url": lambda url: shop(img_url=url),
        "smzdm mask_url": lambda url: shop(mask_url=url),
        "smzdm callback_url": lambda url: shop(callback_url=url, taskid=7),
        "smzdm rembg_img": lambda url: shop("rembg_img", img_url=url),
    }


@pytest.fixture
def send(source, checkpoint, runner, allowed_host) -> dict[str, Send]:
    register("matting", "u2netp", "matting/u2netp.onnx")
    StylePreset.objects.create(key="i2i_outpainting", task="outpaint", checkpoint=checkpoint)
    return fields(source, allowed_host.url("/image", host=ALLOWED))


def test_no_field_of_any_dialect_reaches_an_address_that_is_not_allowed(send, secret_host, allowed_host):
    failures = []
    urls = hostile_urls(secret_host, allowed_host)
    for field, request in send.items():
        for url in urls:
            response = request(url)
            text = response.content if hasattr(response, "content") else repr(response).encode()
            if SECRET in text or b"root:" in text or getattr(response, "status_code", 200) == 504:
                failures.append((field, url, text[:200]))
    assert not failures
    assert secret_host.asked == []
    assert not InputPicture.objects.filter(size_bytes=len(file_of(quarters()) + SECRET)).exists()


def test_hostile_callbacks_are_refused_at_submission(send, secret_host):
    """Not only when they are sent: the client would wait for a callback that never comes."""
    callbacks = {name: request for name, request in send.items() if "callback" in name or "webhook" in name}
    assert len(callbacks) == 6
    accepted = []
    for name, request in callbacks.items():
        for host in HOSTS:
            request(f"http://{host}:{secret_host.port}/secret")
            if Job.objects.exists() or Callback.objects.exists():
                accepted.append((name, host))
                Job.objects.all().delete()
    assert not accepted


def test_the_same_requests_with_an_allowed_url_are_served(send, allowed_host):
    """Otherwise the refusals above could have other reasons than the address."""
    url = allowed_host.url("/image", host=ALLOWED)
    unserved = []
    for name, request in send.items():
        before, asked = Job.objects.count(), len(allowed_host.asked)
        response = request(url)
        is_callback = "callback" in name or "webhook" in name
        served = Job.objects.count() > before if is_callback else len(allowed_host.asked) > asked
        if not served and name != "native init_images":  # takes no URLs
            unserved.append((name, getattr(response, "content", response)))
    assert not unserved
