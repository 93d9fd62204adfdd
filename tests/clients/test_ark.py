"""The vendor's SDKs for Ark: ``arkruntime``, and its predecessor in ``volcengine-python-sdk[ark]``.

``arkruntime`` needs 140 packages of which it uses one, so it is not a development dependency. To test with it:
``pip install --no-deps arkruntime sniffio distro``.
"""

import base64
import importlib
import io
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from PIL import Image

from access.keys.bearer_tokens import opaque_token
from jobs.models import Job
from models_registry.models import Family, Kind, ModelFile
from tests.support.demo_engine import demo_file
from tests.support.judge import judge

pytestmark = [pytest.mark.demo, pytest.mark.django_db(transaction=True)]

MODEL = "doubao-seedream-4-0-250828"
PROMPT = "a red circle on a blue background"
EXPECTED = ("red", "circle", "blue")
SMALL = {"model": MODEL, "prompt": PROMPT, "size": "256x256", "seed": 8}
SDKS = ("arkruntime", "volcenginesdkarkruntime")


def contents(image: Image.Image) -> tuple[str, str, str]:
    verdict = judge(image)
    return verdict.color, verdict.shape, verdict.background


def from_url(item: Any) -> Image.Image:
    return Image.open(io.BytesIO(httpx.get(item.url).content))


def from_base64(item: Any) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(item.b64_json)))


def data_uri(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


@pytest.fixture(params=SDKS)
def sdk(request) -> Any:
    return pytest.importorskip(request.param)


@pytest.fixture
def checkpoint(demo_models) -> ModelFile:
    """The demo checkpoint under the vendor's name, with the size that its file states."""
    demo_models.aliases = [MODEL]
    demo_models.metadata = {"modelspec.resolution": "256x256"}
    demo_models.save()
    return demo_models


@pytest.fixture
def client(sdk, platform, checkpoint, credentials) -> Any:
    return sdk.Ark(base_url=f"{platform}/api/v3", api_key=":".join(credentials))


@pytest.fixture
def errors(sdk) -> Any:
    return importlib.import_module(f"{sdk.__name__}._exceptions")


@pytest.fixture
def several(sdk) -> Callable[[int], dict[str, Any]]:
    """The fields that ask for several images. The predecessor takes an object in the place of a dict."""

    def several(count: int) -> dict[str, Any]:
        options: Any = {"max_images": count}
        if sdk.__name__ == "volcenginesdkarkruntime":
            images = importlib.import_module("volcenginesdkarkruntime.types.images")
            options = images.SequentialImageGenerationOptions(**options)
        return {"sequential_image_generation": "auto", "sequential_image_generation_options": options}

    return several


def test_one_image(client) -> None:
    answer = client.images.generate(**SMALL, watermark=False)
    (item,) = answer.data
    image = from_url(item)
    assert (image.format, image.size, item.size) == ("JPEG", (256, 256), "256x256")
    assert contents(image) == EXPECTED
    assert answer.model == MODEL
    assert (answer.usage.generated_images, answer.usage.output_tokens) == (1, 256)


def test_checkpoints_own_size_and_a_watermark(client) -> None:
    fields = {name: value for name, value in SMALL.items() if name != "size"}
    fields |= {"response_format": "b64_json", "output_format": "png"}
    plain = from_base64(client.images.generate(**fields).data[0])
    marked = from_base64(client.images.generate(**fields, watermark=True).data[0])
    assert plain.size == (256, 256)
    corner, rest = (128, 200, 256, 256), (0, 0, 256, 200)
    assert plain.crop(corner).tobytes() != marked.crop(corner).tobytes()
    assert plain.crop(rest).tobytes() == marked.crop(rest).tobytes()


def test_large_image_is_one_thing_and_not_several(client) -> None:
    (item,) = client.images.generate(**SMALL | {"size": "512x512"}).data
    image = from_url(item)
    assert image.size == (512, 512)
    assert contents(image) == EXPECTED


@pytest.mark.field("ark_images_generations", "sequential_image_generation", "seed")
def test_several_images_have_seeds_in_a_row(client, several) -> None:
    answer = client.images.generate(**SMALL, **several(3), response_format="b64_json", output_format="png")
    images = [from_base64(item) for item in answer.data]
    assert [contents(image)[0] for image in images] == ["red"] * 3
    assert len({image.tobytes() for image in images}) == 3
    second = client.images.generate(**SMALL | {"seed": 9}, response_format="b64_json", output_format="png")
    assert contents(from_base64(second.data[0])) == contents(images[1])


@pytest.mark.field("ark_images_generations", "stream")
def test_stream(client, several) -> None:
    events = list(client.images.generate(**SMALL, **several(2), stream=True))
    kinds = [getattr(event.type, "value", event.type) for event in events]
    assert kinds == ["image_generation.partial_succeeded"] * 2 + ["image_generation.completed"]
    assert [event.image_index for event in events[:2]] == [0, 1]
    assert [contents(from_url(event))[0] for event in events[:2]] == ["red", "red"]
    usage = events[2].usage  # the predecessor leaves it a dict
    assert (usage if isinstance(usage, dict) else usage.model_dump())["generated_images"] == 2


@pytest.mark.field("ark_images_generations", "image")
def test_image_editing(client) -> None:
    first = client.images.generate(**SMALL).data[0].url
    change = {"model": MODEL, "prompt": "a red circle on a green background", "seed": 4}
    answer = client.images.generate(**change, image=first)
    image = from_url(answer.data[0])
    assert image.size == (256, 256)
    assert contents(image) == ("red", "circle", "green")
    assert answer.usage.input_images == 1


def test_image_editing_of_a_data_uri(client) -> None:
    green = data_uri(Image.new("RGB", (256, 128), (35, 160, 60)))
    (item,) = client.images.generate(**{**SMALL, "size": None}, image=[green]).data
    width, height = map(int, item.size.split("x"))
    assert width / height == pytest.approx(2, abs=0.1)


@pytest.mark.field("ark_images_generations", "background")
def test_transparent_background(platform, checkpoint, credentials) -> None:
    sdk = pytest.importorskip("arkruntime")  # its predecessor has no such field
    fields = {"kind": Kind.MATTING, "family": Family.UNKNOWN, "name": "u2netp", "path": "matting/u2netp.onnx"}
    ModelFile.objects.create(**fields, sha256=demo_file("matting/u2netp.onnx").sha256)
    client = sdk.Ark(base_url=f"{platform}/api/v3", api_key=":".join(credentials))
    answer = client.images.generate(**SMALL, background="transparent", response_format="b64_json")
    image = from_base64(answer.data[0])
    assert (image.format, image.mode) == ("PNG", "RGBA")
    alpha = image.getchannel("A")
    assert alpha.getpixel((4, 4)) < 30
    assert alpha.getpixel((128, 128)) > 220


def test_errors_are_the_sdks_exceptions(client, errors, sdk, platform, credentials) -> None:
    wrong = sdk.Ark(base_url=f"{platform}/api/v3", api_key=f"{credentials[0]}:wrong")
    with pytest.raises(errors.ArkAuthenticationError) as unauthorized:
        wrong.images.generate(**SMALL)
    assert unauthorized.value.code == "AuthenticationError"
    with pytest.raises(errors.ArkNotFoundError) as not_found:
        client.images.generate(**SMALL | {"model": "doubao-none"})
    assert (not_found.value.code, not_found.value.param) == ("InvalidEndpointOrModel.NotFound", "model")
    with pytest.raises(errors.ArkBadRequestError) as invalid:
        client.images.generate(**SMALL | {"size": "1x1"})
    assert (invalid.value.code, invalid.value.param) == ("InvalidParameter", "size")
    with pytest.raises(errors.ArkBadRequestError):
        client.images.generate(**SMALL, extra_body={"tools": [{"type": "web_search"}]})
    assert not Job.objects.exists()


def test_slow_job_is_not_sent_again(client, errors, settings) -> None:
    """Each retry would be another job with a price of its own."""
    settings.JOB_WAIT_S = 0
    with pytest.raises(errors.ArkInternalServerError) as timeout:
        client.images.generate(**SMALL)
    assert timeout.value.status_code == 504
    assert Job.objects.count() == 1


def test_opaque_token(sdk, platform, checkpoint, credentials) -> None:
    client = sdk.Ark(base_url=f"{platform}/api/v3", api_key=opaque_token(*credentials))
    assert contents(from_url(client.images.generate(**SMALL).data[0])) == EXPECTED
