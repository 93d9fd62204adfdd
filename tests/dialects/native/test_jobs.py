"""Jobs: submission, status, cancellation; client ids, tenants, access keys."""

import pytest

from access.models import AccessKey, Posting
from jobs.models import Job, State
from models_registry.models import Family, Kind, ModelFile
from tests.dialects.native.conftest import Caller
from tests.support.fake_runner import fails_with_oom, generates_detected_nsfw

pytestmark = pytest.mark.postgres


def test_submitted_job_is_queued_with_its_position(alice, runner):
    response = alice.post("jobs", {"prompt": "a red circle", "width": 64, "height": 64, "lane": "bulk"})
    body = response.json()
    assert response.status_code == 201
    assert response["Location"] == body["url"] == f"/api/v1/jobs/{body['id']}"
    assert (body["state"], body["lane"], body["operation"]) == ("queued", "bulk", "txt2img")
    assert body["request"]["checkpoint"] == "shapes"
    detail = alice.get(f"jobs/{body['id']}").json()
    assert detail["queue"] == {"reason": "next", "ahead": 0, "starts_in_s": 0.0}
    not_estimated = {"queue": None, "ends_in_s": None}  # the response to a submission has no estimate
    assert detail | not_estimated == body


def test_finished_job_has_outputs_cost_and_timeline(alice, work):
    job = alice.submit(num_images=2, seed=41)
    work()
    body = alice.job(job)
    assert (body["state"], body["progress"], body["images_done"]) == ("succeeded", 1.0, 2)
    assert [output["seed"] for output in body["outputs"]] == [41, 42]
    assert [step["to_state"] for step in body["timeline"]] == ["queued", "running", "succeeded"]
    assert body["cost"] > 0
    assert body["device_seconds"] == 2.0
    assert body["queue"] is None


def test_face_restoration_uses_the_registered_models(alice, face_models):
    job = alice.submit(face_restoration={"visibility": 0.5})
    expected = {"model": "GFPGANv1.4", "detector": "yunet", "visibility": 0.5}
    assert alice.job(job)["request"]["face_restoration"] == expected


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ({}, "GFPGANv1.4.pth in the folder face_restoration"),
        ({"model": "CodeFormer"}, "license forbids commercial use"),
        ({"visibility": 1.5}, "less than or equal to 1"),
    ],
)
def test_impossible_face_restoration_is_refused_with_its_reason(alice, part, reason):
    response = alice.post("jobs", {"prompt": "a face", "face_restoration": part})
    assert 400 <= response.status_code < 500
    assert reason in response.content.decode()


def test_failed_job_has_its_error(alice, work, fake_runner):
    fake_runner.behavior = fails_with_oom
    job = alice.submit()
    work()
    error = alice.job(job)["error"]
    assert error["code"] == "out_of_memory"
    assert error["message"]


def test_output_has_the_result_of_the_nsfw_check(alice, work, fake_runner):
    unchecked = alice.submit()
    work()
    fake_runner.behavior = generates_detected_nsfw
    nsfw = alice.submit()
    work()
    outputs = [alice.job(job)["outputs"][0] for job in (unchecked, nsfw)]
    assert [(output["nsfw"], output["nsfw_score"]) for output in outputs] == [(None, None), (True, 0.97)]


def test_output_file_has_an_etag(alice, work):
    job = alice.submit(output_format="jpeg")
    work()
    shown = alice.job(job)["outputs"][0]
    response = alice.client.get(shown["url"])
    assert response["Content-Type"] == shown["content_type"] == "image/jpeg"
    assert len(b"".join(response)) == shown["size_bytes"]
    assert response["ETag"] == f'"{shown["sha256"]}"'
    again = alice.client.get(shown["url"], headers={"If-None-Match": response["ETag"]})
    assert again.status_code == 304


def test_deleted_output_is_gone(alice, work):
    job = alice.submit()
    work()
    job.outputs.get().file.delete(save=False)
    assert alice.get(f"jobs/{job.pk}/outputs/0").status_code == 410


def test_missing_seed_is_random(alice):
    assert alice.submit().request["seed"] != alice.submit().request["seed"]


# External ids


def test_same_external_id_is_the_same_job(alice):
    body = {"width": 64, "height": 64, "external_id": "order 7"}
    first, second = alice.post("jobs", body), alice.post("jobs", body)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    assert Job.objects.count() == 1


def test_same_idempotency_key_is_the_same_job(alice):
    sent = [alice.post("jobs", {"width": 64, "height": 64}, **{"Idempotency-Key": "7"}) for _ in range(2)]
    assert [response.status_code for response in sent] == [201, 200]
    assert sent[0].json()["id"] == sent[1].json()["id"]
    other = alice.post("jobs", {"width": 128, "height": 64}, **{"Idempotency-Key": "7"})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")


def test_external_id_of_another_request_is_a_conflict(alice):
    alice.submit(external_id="order 7")
    response = alice.post("jobs", {"width": 128, "height": 64, "external_id": "order 7"})
    assert response.status_code == 409
    assert response.json()["code"] == "idempotency_conflict"


def test_external_ids_belong_to_the_source(alice, charlie):
    assert alice.submit(external_id="7").pk != charlie.submit(external_id="7").pk


# Stopping


@pytest.mark.parametrize("action", ["cancel", "interrupt"])
def test_queued_job_is_cancelled_and_costs_nothing(alice, action):
    job = alice.submit()
    response = alice.post(f"jobs/{job.pk}/{action}")
    assert (response.status_code, response.json()["state"]) == (200, "cancelled")
    assert not Posting.objects.filter(kind=Posting.Kind.SETTLE).exists()


def test_delete_cancels(alice):
    job = alice.submit()
    assert alice.client.delete(f"/api/v1/jobs/{job.pk}").json()["state"] == "cancelled"


def test_running_job_is_signalled_to_stop(alice, runner):
    from jobs.execution import lifecycle

    job = alice.submit()
    lifecycle.claim(job.pk, runner)
    response = alice.post(f"jobs/{job.pk}/interrupt")
    assert (response.status_code, response.json()["stopping"]) == (202, True)
    assert Job.objects.get().signal == "interrupt"


def test_skip_of_a_queued_job_is_refused(alice):
    job = alice.submit()
    response = alice.post(f"jobs/{job.pk}/skip")
    assert (response.status_code, response.json()["job_id"]) == (409, str(job.pk))


@pytest.mark.parametrize("action", ["cancel", "interrupt", "skip"])
def test_ended_job_is_not_changed(alice, work, action):
    job = alice.submit()
    work()
    response = alice.post(f"jobs/{job.pk}/{action}")
    assert (response.status_code, response.json()["state"]) == (200, State.SUCCEEDED)


# Tenants


@pytest.mark.parametrize("path", ["", "/events", "/outputs/0"])
def test_job_of_another_tenant_is_not_found(alice, charlie, work, path):
    job = alice.submit()
    work()
    assert charlie.get(f"jobs/{job.pk}{path}").status_code == 404


@pytest.mark.parametrize("path", ["/cancel", "/interrupt", "/skip"])
def test_job_of_another_tenant_cannot_be_stopped(alice, charlie, path):
    job = alice.submit()
    assert charlie.post(f"jobs/{job.pk}{path}").status_code == 404
    assert charlie.client.delete(f"/api/v1/jobs/{job.pk}").status_code == 404
    assert Job.objects.get().state == State.QUEUED


def test_job_of_another_dialect_is_shown_to_its_source(alice, submission):
    from jobs.admission.admit import admit

    job = admit(submission())
    assert alice.job(job)["dialect"] == "a1111"


# Keys


def test_basic_authentication(alice, client):
    import base64

    token = base64.b64encode(f"{alice.key.key_id}:{alice.secret}".encode()).decode()
    assert client.get("/api/v1/samplers", headers={"Authorization": f"Basic {token}"}).status_code == 200


@pytest.mark.parametrize(
    "header", [None, "Bearer", "Bearer ak-no:secret", "Basic !", "Digest a", "Bearer é:\xff"]
)
def test_wrong_credentials_are_unauthorized(client, alice, header):
    response = client.get("/api/v1/jobs", headers={"Authorization": header} if header else {})
    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer")
    assert response["Content-Type"] == "application/problem+json"


def test_key_for_other_dialects_is_forbidden(source):
    caller = Caller(*AccessKey.issue(source, dialects=["a1111"]))
    response = caller.get("jobs")
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")


def test_key_for_this_dialect_only_is_accepted(source):
    assert Caller(*AccessKey.issue(source, dialects=["native"])).get("jobs").status_code == 200


@pytest.mark.parametrize(("public", "prefix"), [("", ""), ("https://a.example/atelier/", "/atelier")])
def test_location_is_below_the_path_of_the_public_url(settings, alice, public, prefix):
    settings.PUBLIC_URL = public
    response = alice.post("jobs", {"prompt": "a red circle", "width": 64, "height": 64})
    assert response["Location"] == f"{prefix}/api/v1/jobs/{response.json()['id']}"


def test_lora_tags_of_the_prompt_are_used(alice):
    path = "loras/ink.safetensors"
    ModelFile.objects.create(kind=Kind.LORA, family=Family.SD15, name="ink", path=path, sha256="c" * 64)
    request = alice.submit(prompt="a dog <lora:ink:0.5>").generation_request
    assert [(lora.name, lora.unet) for lora in request.loras] == [("ink", 0.5)]
    assert request.prompt == "a dog <lora:ink:0.5>"
    response = alice.post("jobs", {"prompt": "a dog <lora:none:1>"})
    assert (response.status_code, response.json()["field"]) == (422, "prompt")
    quoted = alice.post("quote", {"prompt": "a dog <lora:none:1>"}).json()
    assert (quoted["accepted"], [refusal["field"] for refusal in quoted["refusals"]]) == (False, ["prompt"])


def test_prompt_in_an_unknown_language_has_a_warning(alice, source):
    response = alice.post("jobs", {"prompt": "一只小狗", "width": 64, "height": 64}).json()
    (warning,) = response["warnings"]
    assert "Chinese" in warning
    assert alice.get(f"jobs/{response['id']}").json()["warnings"] == [warning]
    source.strict = True
    source.save()
    refused = alice.post("jobs", {"prompt": "一只小狗"})
    assert (refused.status_code, refused.json()["field"], refused.json()["detail"]) == (
        422,
        "prompt",
        warning,
    )
