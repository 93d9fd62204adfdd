"""The Host header: refused in the error format of the dialect that the path belongs to."""

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db
ELSEWHERE = {"host": "elsewhere.example"}
CASES = {
    "/sdapi/v1/txt2img": (400, lambda body: body["error"] == "HTTPException" and body["detail"]),
    "/api/v1/jobs": (400, lambda body: body["code"] == "host_not_allowed" and body["detail"]),
    "/?Action=CVProcess&Version=2022-08-31": (400, lambda body: body["code"] == 50200 and body["message"]),
    "/api/v3/text2img": (200, lambda body: body["status"] == "error" and body["message"]),
    "/AIGCImgOpenServ/saas/sd/v2/queryTaskInfo": (200, lambda body: body["code"] == "400" and body["msg"]),
    "/pictures/change_background": (200, lambda body: body["error_code"] == 1001 and body["error_msg"]),
}


@pytest.mark.parametrize("path", CASES)
def test_dialects_refuse_a_wrong_host_in_their_own_format(path):
    status, message_of = CASES[path]
    response = Client().post(path, {}, content_type="application/json", headers=ELSEWHERE)
    assert response.status_code == status
    assert "ALLOWED_HOSTS" in message_of(response.json())


@pytest.mark.parametrize("path", ["/", "/admin/login/", "/metrics"])
def test_other_views_refuse_a_wrong_host(path):
    response = Client().get(path, headers=ELSEWHERE)
    assert (response.status_code, "Location" in response) == (400, False)


def test_allowed_host_is_accepted():
    assert Client().get("/").status_code == 302
