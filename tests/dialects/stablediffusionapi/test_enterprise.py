"""Enterprise endpoints generate as v4 and v5 do."""

import pytest

from jobs.models import Job
from models_registry.models import Kind

from .conftest import data_uri, png

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

SAME = {
    "v1/enterprise/text2img": "v4/dreambooth/text2img",
    "v1/enterprise/img2img": "v4/dreambooth/img2img",
    "v1/enterprise/inpaint": "v4/dreambooth/inpaint",
    "v1/enterprise/controlnet": "v5/controlnet",
    "v1/enterprise/super_resolution": "v3/super_resolution",
}


@pytest.mark.parametrize(("enterprise", "public"), SAME.items())
def test_request_is_that_of_the_public_endpoint(alice, model, red, enterprise, public):
    model(Kind.CONTROLNET, "control_v11p_sd15_canny")
    image = data_uri(png(128, 64))
    body = {
        "model_id": "shapes",
        "init_image": image,
        "mask_image": red,
        "seed": 8,
        "controlnet_type": "canny",
    }
    if "super_resolution" in public:
        body = {"url": image, "scale": "2"}
    expected = alice.request(public, **body)
    assert alice.request(enterprise, **body) == expected


def test_loadbalancer_is_accepted_and_checked(alice):
    path = "v1/enterprise/text2img"
    assert alice.request(path, model_id="shapes", loadbalancer="yes")
    assert list(alice.call(path, prompt="x", model_id="shapes", loadbalancer="maybe")["message"]) == [
        "loadbalancer"
    ]


def test_model_is_required_and_must_exist(alice):
    assert list(alice.refused("v1/enterprise/text2img")) == ["model_id"]
    assert alice.refused("v1/enterprise/text2img", model_id="nothing") == "Model id not found"


def test_result_is_fetched_below_enterprise(alice, charlie, work):
    response, _job = alice.generate("v1/enterprise/text2img", model_id="shapes")
    number = response["id"]
    assert response["fetch_result"].endswith(f"/api/v1/enterprise/fetch/{number}")
    work()
    for fetched in (
        alice.call(f"v1/enterprise/fetch/{number}"),
        alice.call("v1/enterprise/fetch", request_id=str(number)),
    ):
        assert (fetched["status"], len(fetched["output"])) == ("success", 1)
    assert charlie.call(f"v1/enterprise/fetch/{number}")["message"] == "Request not found"


def test_super_resolution_has_one_output(alice, red, work):
    response, _job = alice.generate("v1/enterprise/super_resolution", url=red, scale=2)
    work()
    output = alice.call(f"v1/enterprise/fetch/{response['id']}")["output"]
    assert alice.client.get(output).status_code == 200


def test_repeated_idempotency_key_finds_the_job(alice):
    body = {"key": alice.key, "model_id": "shapes", "prompt": "a red circle", "width": 64, "height": 64}
    ids = {
        alice.client.post(
            "/api/v1/enterprise/text2img", body, "application/json", HTTP_IDEMPOTENCY_KEY="once"
        ).json()["id"]
        for _time in range(2)
    }
    assert len(ids) == Job.objects.count() == 1
