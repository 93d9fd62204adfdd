"""The vendor's newer SDK from PyPI and its signer from npm, against the platform's own processes and real drawings."""

import base64
import io
import json
from typing import Any

import pytest
from PIL import Image, ImageDraw

from tests.e2e.installation import Installation
from tests.support import node_signer
from tests.support.judge import COLOURS, judge

pytestmark = [pytest.mark.processes, pytest.mark.demo]

PROMPT = "a red circle on a blue background"
ASKED = ("red", "circle", "blue")
FROM_WORDS, FROM_A_PICTURE, HOUSE_STYLE = "high_aes_general_v20", "img2img_style", "house_style"
SMALL = {"seed": 8, "ddim_steps": 20, "scale": 7.0}


def shown(picture: str) -> tuple[str, str, str]:
    verdict = judge(Image.open(io.BytesIO(base64.b64decode(picture))))
    return verdict.colour, verdict.shape, verdict.background


@pytest.fixture
def product() -> str:
    """A yellow disc on grey."""
    picture, file = Image.new("RGB", (256, 256), "grey"), io.BytesIO()
    ImageDraw.Draw(picture).ellipse((64, 64, 192, 192), fill=COLOURS["yellow"])
    picture.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


@pytest.fixture
def house_style(installation: Installation) -> str:
    """A style with words of its own: this SDK's request for a style has no field for any."""
    installation.python(f"""
from models_registry.models import StylePreset
style = StylePreset.objects.get(key={FROM_A_PICTURE!r})
fields = {{
    "task": style.task, "checkpoint": style.checkpoint, "prompt": {PROMPT!r}, "strength": 0.95, "long_side": 256,
    "control_module": style.control_module, "control_model": style.control_model,
}}
StylePreset.objects.update_or_create(key={HOUSE_STYLE!r}, defaults=fields)
print("null")
""")
    return HOUSE_STYLE


@pytest.fixture
def core(installation: Installation) -> Any:
    """PyPI's ``volcenginesdkcore``, told where the platform is."""
    core = pytest.importorskip("volcenginesdkcore")
    configuration = core.Configuration()
    configuration.ak, configuration.sk = (installation.credentials[name] for name in ("key_id", "secret"))
    configuration.region, configuration.scheme = "cn-north-1", "http"
    configuration.host = installation.base_url.removeprefix("http://")
    core.Configuration.set_default(configuration)
    return core


@pytest.fixture
def vision(core) -> Any:
    """Its typed requests."""
    return pytest.importorskip("volcenginesdkcv20240606")


def test_the_newer_sdk_draws_from_words(vision) -> None:
    words = {"req_key": FROM_WORDS, "model_version": "general_v2.0", "prompt": PROMPT}
    request = vision.HighAesGeneralV20Request(**words, width=256, height=256, **SMALL)
    told = vision.CV20240606Api().high_aes_general_v20(request)
    assert [shown(picture) for picture in told.data.binary_data_base64] == [ASKED]


def test_the_newer_sdk_draws_in_a_style_whose_words_are_ours(vision, house_style, product) -> None:
    request = vision.AIGCStylizeImageUsageRequest(req_key=house_style, binary_data_base64=[product])
    told = vision.CV20240606Api().a_igc_stylize_image_usage(request)
    assert [shown(picture) for picture in told.data.binary_data_base64] == [ASKED]


def test_the_newer_sdks_call_for_any_action_draws_in_a_style(core, product) -> None:
    process = core.UniversalInfo("POST", "cv", "2022-08-31", "CVProcess", "application/json")
    drawing = {"prompt": PROMPT, "strength": 0.95, "long_resolution": 256, "canny_weight": 0.8, **SMALL}
    asked = {"req_key": FROM_A_PICTURE, "binary_data_base64": [product], **drawing}
    client = core.ApiClient()
    # It understands answers with ResponseMetadata alone, and CVProcess has none: its caller reads the answer.
    core.UniversalApi(client).do_call(process, asked, _preload_content=False)
    told = json.loads(client.last_response.data)
    assert [shown(picture) for picture in told["data"]["binary_data_base64"]] == [ASKED]


def test_the_node_signers_client_gets_its_picture(installation) -> None:
    told = node_signer.cv_process(
        installation.base_url,
        installation.credentials["key_id"],
        installation.credentials["secret"],
        {"req_key": FROM_WORDS, "prompt": PROMPT, "width": 256, "height": 256, **SMALL},
    )
    assert [shown(picture) for picture in told["data"]["binary_data_base64"]] == [ASKED]
