"""The vendor's own SDKs, unchanged, over real HTTP."""

import base64
import io
import json

import httpx
import pytest
from PIL import Image

from models_registry.models import StylePreset
from tests.dialects.volcengine.conftest import STYLE
from tests.support import node_signer

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

PASTEL_BOYS = {
    "strength": 0.6,
    "seed": -1,
    "scale": 8,
    "ddim_steps": 20,
    "lora_multipers": {},
    "clip_skip": 1,
    "canny_weight": 0.8,
    "i2i_keep_texture": 1,
    "long_resolution": 704,
    "id_scale": 0,
    "return_url": True,
    "logo_info": {"add_logo": False, "position": 0, "language": 0, "opacity": 0.3},
}


@pytest.fixture
def host(live_server) -> str:
    return live_server.url.removeprefix("http://")


class TestPython:
    """PyPI's ``volcengine``."""

    @pytest.fixture
    def visual(self, worker, alice, style, host):
        service = pytest.importorskip("volcengine.visual.VisualService").VisualService()
        service.set_ak(alice.key.key_id)
        service.set_sk(alice.secret)
        service.set_host(host)
        return service

    def test_cv_process_returns_an_image(self, visual, body) -> None:
        response = visual.cv_process({**body, **PASTEL_BOYS})
        assert response["code"] == 10000
        content = httpx.get(response["data"]["image_urls"][0]).content
        assert Image.open(io.BytesIO(content)).size == (704, 352)

    def test_helper_of_one_style_returns_an_image(self, visual, body) -> None:
        sent = {**body, "req_key": "img2img_pastel_boys_style", "image_urls": [], "return_url": False}
        response = visual.img2img_create_pastel_boys2d(sent)
        assert base64.b64decode(response["data"]["binary_data_base64"][0]).startswith(b"\x89PNG")

    @pytest.mark.parametrize("pair", ["cv", "cv_sync2async"])
    def test_task_is_submitted_and_polled(self, visual, body, pair) -> None:
        task = getattr(visual, f"{pair}_submit_task")(body)["data"]["task_id"]
        query = {"req_key": STYLE, "task_id": task, "req_json": json.dumps({"return_url": True})}
        statuses = []
        while not statuses or statuses[-1] in ("in_queue", "generating"):
            data = getattr(visual, f"{pair}_get_result")(query)["data"]
            statuses.append(data["status"])
        assert statuses[-1] == "done"
        assert data["image_urls"]

    def test_task_is_cancelled(self, visual, body) -> None:
        task = visual.cv_submit_task(body)["data"]["task_id"]
        response = visual.cv_cancel_task({"req_key": STYLE, "task_id": task})
        assert response["Result"]["code"] == 10000

    def test_error_body_can_be_parsed_from_the_exceptions_text(self, visual, body) -> None:
        with pytest.raises(Exception, match="50400") as caught:
            visual.cv_process({**body, "req_key": "it's unknown"})
        assert json.loads(str(caught.value)[2:-1])["code"] == 50400

    def test_wrong_secret_raises(self, visual, body) -> None:
        visual.set_sk("wrong")
        with pytest.raises(Exception, match="SignatureDoesNotMatch"):
            visual.cv_process(body)

    def test_presigned_url_returns_a_result(self, visual, host) -> None:
        from volcengine.auth.SignerV4 import SignerV4
        from volcengine.base.Request import Request

        request = Request()
        request.set_method("GET")
        request.set_path("/")
        task = {"req_key": STYLE, "task_id": "1" * 19}
        request.set_query({"Action": "CVGetResult", "Version": "2022-08-31", **task})
        query = SignerV4.sign_url(request, visual.service_info.credentials)
        response = httpx.get(f"http://{host}/?{query}").json()
        assert response["data"]["status"] == "not_found"


class TestCore:
    """PyPI's ``volcenginesdkcore`` with ``volcenginesdkcv20240606``."""

    @pytest.fixture
    def api(self, worker, alice, style, host):
        core = pytest.importorskip("volcenginesdkcore")
        configuration = core.Configuration()
        configuration.ak, configuration.sk = alice.key.key_id, alice.secret
        configuration.region, configuration.host, configuration.scheme = "cn-north-1", host, "http"
        core.Configuration.set_default(configuration)
        StylePreset.objects.update(prompt_required=False)
        return pytest.importorskip("volcenginesdkcv20240606").CV20240606Api()

    def test_response_is_parsed_into_its_type(self, api, body) -> None:
        from volcenginesdkcv20240606 import (
            AIGCStylizeImageUsageRequest,
            LogoInfoForAIGCStylizeImageUsageInput,
        )

        request = AIGCStylizeImageUsageRequest(
            req_key=STYLE,
            binary_data_base64=body["binary_data_base64"],
            return_url=True,
            logo_info=LogoInfoForAIGCStylizeImageUsageInput(add_logo=True),
        )
        response = api.a_igc_stylize_image_usage(request)
        assert response.code == 10000
        assert httpx.get(response.data.image_urls[0]).status_code == 200

    def test_refusal_raises_api_exception(self, api, body) -> None:
        from volcenginesdkcore.rest import ApiException
        from volcenginesdkcv20240606 import AIGCStylizeImageUsageRequest

        request = AIGCStylizeImageUsageRequest(
            req_key="nothing", binary_data_base64=body["binary_data_base64"]
        )
        with pytest.raises(ApiException) as caught:
            api.a_igc_stylize_image_usage(request)
        assert caught.value.status == 401


def test_signature_of_the_node_sdk_is_accepted(worker, alice, body, live_server) -> None:
    response = node_signer.cv_process(
        live_server.url, alice.key.key_id, alice.secret, {**body, "return_url": True}
    )
    assert response["code"] == 10000
