"""Volcengine's newer SDK (PyPI) and its signer (npm), against the platform's processes and real images."""

import base64
import io
import json
from typing import Any

import pytest
from PIL import Image, ImageDraw

from tests.e2e.installation import Installation
from tests.support import node_signer
from tests.support.judge import COLORS, judge

pytestmark = [pytest.mark.processes, pytest.mark.demo]

PROMPT = "a red circle on a blue background"
EXPECTED = ("red", "circle", "blue")
TXT2IMG, IMG2IMG, OWN_STYLE = "high_aes_general_v20", "img2img_style", "own_style"
SMALL = {"seed": 8, "ddim_steps": 20, "scale": 7.0}


def contents(encoded: str) -> tuple[str, str, str]:
    verdict = judge(Image.open(io.BytesIO(base64.b64decode(encoded))))
    return verdict.color, verdict.shape, verdict.background


@pytest.fixture
def product() -> str:
    """A yellow disc on gray."""
    image, file = Image.new("RGB", (256, 256), "grey"), io.BytesIO()
    ImageDraw.Draw(image).ellipse((64, 64, 192, 192), fill=COLORS["yellow"])
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


@pytest.fixture
def own_style(installation: Installation) -> str:
    """A style with its own prompt, because this SDK's style request has no prompt field."""
    installation.python(f"""
from models_registry.models import StylePreset
style = StylePreset.objects.get(key={IMG2IMG!r})
fields = {{
    "task": style.task, "checkpoint": style.checkpoint, "prompt": {PROMPT!r}, "strength": 0.95, "long_side": 256,
    "control_module": style.control_module, "control_model": style.control_model,
}}
StylePreset.objects.update_or_create(key={OWN_STYLE!r}, defaults=fields)
print("null")
""")
    return OWN_STYLE


@pytest.fixture
def core(installation: Installation) -> Any:
    """``volcenginesdkcore``, configured with the platform's address and a key."""
    core = pytest.importorskip("volcenginesdkcore")
    configuration = core.Configuration()
    configuration.ak, configuration.sk = (installation.credentials[name] for name in ("key_id", "secret"))
    configuration.region, configuration.scheme = "cn-north-1", "http"
    configuration.host = installation.base_url.removeprefix("http://")
    core.Configuration.set_default(configuration)
    return core


@pytest.fixture
def vision(core) -> Any:
    """``volcenginesdkcv20240606``: typed requests."""
    return pytest.importorskip("volcenginesdkcv20240606")


def test_newer_sdk_generates_from_a_prompt(vision) -> None:
    fields = {"req_key": TXT2IMG, "model_version": "general_v2.0", "prompt": PROMPT}
    request = vision.HighAesGeneralV20Request(**fields, width=256, height=256, **SMALL)
    response = vision.CV20240606Api().high_aes_general_v20(request)
    assert [contents(image) for image in response.data.binary_data_base64] == [EXPECTED]


def test_newer_sdk_applies_a_style_with_its_own_prompt(vision, own_style, product) -> None:
    request = vision.AIGCStylizeImageUsageRequest(req_key=own_style, binary_data_base64=[product])
    response = vision.CV20240606Api().a_igc_stylize_image_usage(request)
    assert [contents(image) for image in response.data.binary_data_base64] == [EXPECTED]


def test_universal_call_of_the_newer_sdk_applies_a_style(core, product) -> None:
    process = core.UniversalInfo("POST", "cv", "2022-08-31", "CVProcess", "application/json")
    fields = {"prompt": PROMPT, "strength": 0.95, "long_resolution": 256, "canny_weight": 0.8, **SMALL}
    body = {"req_key": IMG2IMG, "binary_data_base64": [product], **fields}
    client = core.ApiClient()
    # The client parses only responses with ResponseMetadata. CVProcess has none, so the raw response is read.
    core.UniversalApi(client).do_call(process, body, _preload_content=False)
    response = json.loads(client.last_response.data)
    assert [contents(image) for image in response["data"]["binary_data_base64"]] == [EXPECTED]


def test_request_signed_by_the_node_signer_generates_an_image(installation) -> None:
    response = node_signer.cv_process(
        installation.base_url,
        installation.credentials["key_id"],
        installation.credentials["secret"],
        {"req_key": TXT2IMG, "prompt": PROMPT, "width": 256, "height": 256, **SMALL},
    )
    assert [contents(image) for image in response["data"]["binary_data_base64"]] == [EXPECTED]
