import pytest

from access.models import AccessKey, Posting
from jobs.models import Job, State
from tests.dialects.native.conftest import Caller
from tests.support.fake_runner import draws_unfit_pictures, fails_with_oom


def test_a_submitted_job_waits_and_tells_where_it_is(alice, runner):
    response = alice.post("jobs", {"prompt": "a red circle", "width": 64, "height": 64, "lane": "bulk"})
    body = response.json()
    assert response.status_code == 201
    assert response["Location"] == body["url"] == f"/api/v1/jobs/{body['id']}"
    assert (body["state"], body["lane"], body["operation"]) == ("queued", "bulk", "txt2img")
    assert body["request"]["checkpoint"] == "shapes"
    asked = alice.get(f"jobs/{body['id']}").json()
    assert asked["queue"] == {"reason": "next", "ahead": 0, "starts_in_s": 0.0}
    unweighed = {"queue": None, "ends_in_s": None}  # that is not done for every submission
    assert asked | unweighed == body


def test_a_drawn_job_has_its_pictures_cost_and_timeline(alice, work):
    job = alice.submit(num_images=2, seed=41)
    work()
    body = alice.job(job)
    assert (body["state"], body["progress"], body["images_done"]) == ("succeeded", 1.0, 2)
    assert [output["seed"] for output in body["outputs"]] == [41, 42]
    assert [step["to_state"] for step in body["timeline"]] == ["queued", "running", "succeeded"]
    assert body["cost"] > 0
    assert body["device_seconds"] == 2.0
    assert body["queue"] is None


def test_faces_are_restored_by_the_registrys_models(alice, face_models):
    job = alice.submit(face_restoration={"visibility": 0.5})
    asked = {"model": "GFPGANv1.4", "detector": "yunet", "visibility": 0.5}
    assert alice.job(job)["request"]["face_restoration"] == asked


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ({}, "GFPGANv1.4.pth in the folder face_restoration"),
        ({"model": "CodeFormer"}, "licence forbids commercial use"),
        ({"visibility": 1.5}, "less than or equal to 1"),
    ],
)
def test_faces_that_cannot_be_restored_are_a_problem_with_its_reason(alice, part, told):
    response = alice.post("jobs", {"prompt": "a face", "face_restoration": part})
    assert 400 <= response.status_code < 500
    assert told in response.content.decode()


def test_a_failed_job_tells_why(alice, work, fake_runner):
    fake_runner.behaviour = fails_with_oom
    job = alice.submit()
    work()
    expected = {"code": "out_of_memory", "message": "The picture is too large for this runner."}
    assert alice.job(job)["error"] == expected


def test_a_picture_tells_whether_it_was_found_unfit(alice, work, fake_runner):
    unchecked = alice.submit()
    work()
    fake_runner.behaviour = draws_unfit_pictures
    unfit = alice.submit()
    work()
    outputs = [alice.job(job)["outputs"][0] for job in (unchecked, unfit)]
    assert [(output["nsfw"], output["nsfw_score"]) for output in outputs] == [(None, None), (True, 0.97)]


def test_a_picture_is_given_once_to_those_who_keep_it(alice, work):
    job = alice.submit(output_format="jpeg")
    work()
    shown = alice.job(job)["outputs"][0]
    response = alice.client.get(shown["url"])
    assert response["Content-Type"] == shown["content_type"] == "image/jpeg"
    assert len(b"".join(response)) == shown["size_bytes"]
    assert response["ETag"] == f'"{shown["sha256"]}"'
    again = alice.client.get(shown["url"], headers={"If-None-Match": response["ETag"]})
    assert again.status_code == 304


def test_a_picture_that_ops_removed_is_gone(alice, work):
    job = alice.submit()
    work()
    job.outputs.get().file.delete(save=False)
    assert alice.get(f"jobs/{job.pk}/outputs/0").status_code == 410


def test_without_a_seed_each_job_has_its_own(alice):
    assert alice.submit().request["seed"] != alice.submit().request["seed"]


# The caller's own id


def test_the_same_id_is_the_same_job(alice):
    body = {"width": 64, "height": 64, "external_id": "order 7"}
    first, second = alice.post("jobs", body), alice.post("jobs", body)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    assert Job.objects.count() == 1


def test_a_request_that_is_sent_again_with_its_key_is_the_same_job(alice):
    sent = [alice.post("jobs", {"width": 64, "height": 64}, **{"Idempotency-Key": "7"}) for _ in range(2)]
    assert [response.status_code for response in sent] == [201, 200]
    assert sent[0].json()["id"] == sent[1].json()["id"]
    other = alice.post("jobs", {"width": 128, "height": 64}, **{"Idempotency-Key": "7"})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")


def test_an_id_cannot_name_another_request(alice):
    alice.submit(external_id="order 7")
    response = alice.post("jobs", {"width": 128, "height": 64, "external_id": "order 7"})
    assert response.status_code == 409
    assert response.json()["code"] == "idempotency_conflict"


def test_the_same_id_of_another_tenant_is_another_job(alice, charlie):
    assert alice.submit(external_id="7").pk != charlie.submit(external_id="7").pk


# Stopping


@pytest.mark.parametrize("how", ["cancel", "interrupt"])
def test_a_waiting_job_is_cancelled_and_costs_nothing(alice, how):
    job = alice.submit()
    response = alice.post(f"jobs/{job.pk}/{how}")
    assert (response.status_code, response.json()["state"]) == (200, "cancelled")
    assert not Posting.objects.filter(kind=Posting.Kind.SETTLE).exists()


def test_delete_cancels(alice):
    job = alice.submit()
    assert alice.client.delete(f"/api/v1/jobs/{job.pk}").json()["state"] == "cancelled"


def test_a_running_job_is_told_to_stop(alice, runner):
    from jobs.execution import lifecycle

    job = alice.submit()
    lifecycle.claim(job.pk, runner)
    response = alice.post(f"jobs/{job.pk}/interrupt")
    assert (response.status_code, response.json()["stopping"]) == (202, True)
    assert Job.objects.get().signal == "interrupt"


def test_a_waiting_job_has_no_batch_to_skip(alice):
    job = alice.submit()
    response = alice.post(f"jobs/{job.pk}/skip")
    assert (response.status_code, response.json()["job_id"]) == (409, str(job.pk))


@pytest.mark.parametrize("how", ["cancel", "interrupt", "skip"])
def test_what_has_ended_stays_as_it_is(alice, work, how):
    job = alice.submit()
    work()
    response = alice.post(f"jobs/{job.pk}/{how}")
    assert (response.status_code, response.json()["state"]) == (200, State.SUCCEEDED)


# Others


@pytest.mark.parametrize("path", ["", "/events", "/outputs/0"])
def test_another_tenants_job_does_not_exist(alice, charlie, work, path):
    job = alice.submit()
    work()
    assert charlie.get(f"jobs/{job.pk}{path}").status_code == 404


@pytest.mark.parametrize("path", ["/cancel", "/interrupt", "/skip"])
def test_another_tenants_job_cannot_be_stopped(alice, charlie, path):
    job = alice.submit()
    assert charlie.post(f"jobs/{job.pk}{path}").status_code == 404
    assert charlie.client.delete(f"/api/v1/jobs/{job.pk}").status_code == 404
    assert Job.objects.get().state == State.QUEUED


def test_a_job_that_came_through_another_api_is_shown_to_its_source(alice, submission):
    from jobs.admission.admit import admit

    job = admit(submission())
    assert alice.job(job)["dialect"] == "a1111"


# Keys


def test_basic_is_as_good_as_bearer(alice, client):
    import base64

    token = base64.b64encode(f"{alice.key.key_id}:{alice.secret}".encode()).decode()
    assert client.get("/api/v1/samplers", headers={"Authorization": f"Basic {token}"}).status_code == 200


@pytest.mark.parametrize(
    "header", [None, "Bearer", "Bearer ak-no:secret", "Basic !", "Digest a", "Bearer é:\xff"]
)
def test_without_a_known_key_nothing_is_told(client, alice, header):
    response = client.get("/api/v1/jobs", headers={"Authorization": header} if header else {})
    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer")
    assert response["Content-Type"] == "application/problem+json"


def test_a_key_for_other_dialects_is_forbidden_here(source):
    caller = Caller(*AccessKey.issue(source, dialects=["a1111"]))
    response = caller.get("jobs")
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")


def test_a_key_may_be_for_this_dialect_alone(source):
    assert Caller(*AccessKey.issue(source, dialects=["native"])).get("jobs").status_code == 200
