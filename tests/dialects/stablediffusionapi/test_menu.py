"""Every path of the vendor's menus of training, management and enterprise servers answers in the vendor's shape."""

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

SERVED = (
    "v1/enterprise/text2img",
    "v1/enterprise/img2img",
    "v1/enterprise/inpaint",
    "v1/enterprise/controlnet",
    "v1/enterprise/super_resolution",
    "v1/enterprise/fetch",
    "v1/enterprise/fetch/7",
    "v1/enterprise/schedulers_list",
    "v1/enterprise/get_all_models",
    "v1/enterprise/system_details",
    "v1/enterprise/clear_cache",
    "v1/enterprise/clear_queue",
    "v1/enterprise/upload_image",
    "v1/enterprise/verify_model",
    "v1/enterprise/load_model",
    "v1/enterprise/load_model_v2",
    "v1/enterprise/load_vae",
    "v1/enterprise/delete_model",
    "v3/load_model",
    "v3/clear_cache",
    "v3/assets_generated",
    "v3/subscribed_products",
    "v3/wallet_balance",
    "v3/processing/request_count",
    "v3/base64_to_url",
    "v3/base64_crop",
    "v3/lora_fine_tune",
    "v3/fine_tune",
    "v3/fine_tune_v2",
    "v3/fine_tune_status/F5jvdzGnYi",
    "v3/cancle_training/F5jvdzGnYi",
    "v3/cancel_training/F5jvdzGnYi",
    "v3/finetune/delete/F5jvdzGnYi",
    "v3/delete/F5jvdzGnYi",
    "v3/finetune_list",
    "sandbox/v3/fine_tune",
    "sandbox/v3/fine_tune_status/F5jvdzGnYi",
)
REFUSED = {
    "v1/enterprise/restart_server": "operator",
    "v1/enterprise/update_server": "operator",
    "v1/enterprise/update_s3": "operator",
    "v1/enterprise/reset_s3": "operator",
    "v1/enterprise/sync_models": "registry",
    "v1/enterprise/text2video": "video",
    "v3/dreambooth/buy_model": "budgets",
    "v3/dreambooth/buy_subscription": "budgets",
    "v3/dreambooth/cancel_subscription": "budgets",
    "v3/buy_model": "budgets",
}


@pytest.mark.parametrize("real_status", [False, True])
@pytest.mark.parametrize("path", [*SERVED, *REFUSED])
def test_no_path_of_the_menu_is_unknown(alice, settings, path, real_status):
    settings.STABLEDIFFUSIONAPI_REAL_STATUS = real_status
    response = alice.post(path, request_id=7)
    body = response.json()
    if "/fetch" in path:  # the request, not the endpoint, does not exist
        assert body["message"] == "Request not found"
    elif "F5jvdzGnYi" in path:
        assert body["message"] == "Training not found"
    else:
        assert response.status_code != 404
    assert "Endpoint not found" not in str(body)
    assert isinstance(body, list) or body["status"] in ("success", "error")


@pytest.mark.parametrize("path", SERVED)
def test_endpoint_needs_a_key(client, path):
    response = client.post(f"/api/{path}", {"request_id": 7}, content_type="application/json")
    assert response.json()["message"] == "Invalid Api Key"


@pytest.mark.parametrize(("path", "reason"), REFUSED.items())
def test_refused_endpoint_gives_its_reason(alice, path, reason):
    response = alice.call(path)
    assert response["status"] == "error"
    assert response["message"] == response["messege"]
    assert path in response["message"]
    assert reason in response["message"]


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_refused_endpoint_answers_every_method(alice, method):
    response = getattr(alice.client, method)("/api/v1/enterprise/restart_server", HTTP_KEY=alice.key)
    assert "operator" in response.json()["message"]
