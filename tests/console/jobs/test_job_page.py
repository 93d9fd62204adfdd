import io
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.files.base import ContentFile
from django.utils import timezone
from PIL import Image

from access.models import Membership
from jobs.admission.admit import admit
from jobs.execution import lifecycle
from jobs.models import Job, Output, Preview, Runner, State
from jobs.models.callback import CallbackState
from jobs.outbound.callbacks import policies
from jobs.outbound.callbacks.outbox import CallbackRequest
from jobs.outbound.callbacks.policies import CallbackPolicy, by_status


def page(job, *rest) -> str:
    return "/".join(["/admin/jobs/job", str(job.pk), *rest, ""])


@pytest.fixture
def job(submission) -> Job:
    return admit(submission(prompt="a red circle"))


@pytest.fixture
def draw():
    """Pictures of one colour, as a job has them when it has succeeded."""

    def draw(job, *colours, size=(8, 8)):
        for index, colour in enumerate(colours):
            png = io.BytesIO()
            Image.new("RGB", size, colour).save(png, "PNG")
            output = Output(job=job, index=index, sha256=f"{job.pk.hex}{index:032}", size_bytes=1, seed=7)
            output.width, output.height = size
            output.infotext = f"a {colour} square"
            output.file.save(f"{job.pk}-{index}.png", ContentFile(png.getvalue()))
        Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED)

    return draw


@pytest.fixture
def runner(db) -> Runner:
    return Runner.objects.create(name="local", url="http://127.0.0.1:9", slots=4, seen_at=timezone.now())


@pytest.fixture
def do(ops):
    return lambda job, what, client=ops: client.post(page(job, "do", what), follow=True)


@pytest.fixture
def someone(client, source):
    """Somebody of the staff who may do so much, of a tenant or of none."""

    def someone(*permissions, of=None):
        user = User.objects.create_user("someone", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        if of:
            Membership.objects.create(user=user, source=of)
        client.force_login(user)
        return client

    return someone


# What it shows ------------------------------------------------------------------------------------------------------


def test_page_tells_which_pictures_were_found_unfit(ops, job, draw):
    draw(job, "red", "blue", "green")
    job.outputs.filter(index=1).update(nsfw=True, nsfw_score=0.87)
    job.outputs.filter(index=2).update(nsfw=False, nsfw_score=0.04)
    text = ops.get(page(job, "change")).content.decode()
    assert text.count("fit to be shown") == 2
    assert "unfit to be shown (0.87)" in text
    assert " fit to be shown (0.04)" in text


def test_page_shows_pictures_with_infotext(ops, job, draw):
    draw(job, "red", "blue")
    text = ops.get(page(job, "change")).content.decode()
    assert "a red square" in text
    assert "a blue square" in text
    assert page(job, "pictures", "1") in text


def test_timeline_tells_how_long_each_state_lasted(ops, job, runner):
    lifecycle.claim(job.pk, runner)
    job.transitions.filter(to_state=State.QUEUED).update(at=timezone.now() - timedelta(seconds=75))
    lines = ops.get(page(job, "change")).context["timeline"]
    assert [line.transition.to_state for line in lines] == ["queued", "running"]
    assert lines[0].lasted in {"74 s", "75 s"}


def test_a_queued_job_says_why_it_waits_for_a_runner(ops, job):
    assert "No runner can take it" in ops.get(page(job, "change")).content.decode()


def test_a_queued_job_that_is_next_says_so(ops, job, runner):
    assert ops.get(page(job, "live")).json()["waits"] == "It is next: a runner takes it now."


def test_a_queued_job_says_that_its_source_runs_as_many_as_it_may(ops, job, runner, submission, source):
    source.max_concurrent_jobs = 1
    source.save()
    lifecycle.claim(admit(submission()).pk, runner)
    assert "shop runs as many at once as it may" in ops.get(page(job, "live")).json()["waits"]


def test_a_job_behind_others_says_behind_how_many(ops, runner, submission):
    runner.slots = 1
    runner.save()
    jobs = [admit(submission()) for _ in range(4)]
    lifecycle.claim(jobs[0].pk, runner)
    waits = ops.get(page(jobs[3], "live")).json()["waits"]
    assert "every runner is full. 2 jobs go before it. It should start in" in waits


def test_progress_of_a_running_job_can_be_followed(ops, job, runner):
    lifecycle.claim(job.pk, runner)
    Job.objects.filter(pk=job.pk).update(step=5, steps=20)
    Preview.objects.create(job=job, jpeg=b"a small jpeg")
    told = ops.get(page(job, "live")).json()
    assert (told["state"], told["percent"], told["ended"], told["steps"]) == (
        "running",
        25.0,
        False,
        "step 5 of 20",
    )
    assert ops.get(told["preview"]).content == b"a small jpeg"


def test_an_ended_job_is_followed_no_more(ops, job):
    lifecycle.cancel(job.pk)
    assert ops.get(page(job, "live")).json()["ended"] is True
    assert 'id="job-live"' not in ops.get(page(job, "change")).content.decode()


def test_postings_are_shown(ops, job):
    lifecycle.cancel(job.pk)
    postings = ops.get(page(job, "change")).context["postings"]
    assert [posting.kind for posting in postings] == ["reserve", "release"]


def test_page_of_no_job_leads_back_to_the_list(ops, db):
    assert ops.get("/admin/jobs/job/00000000-0000-4000-8000-000000000000/change/").status_code == 404
    assert ops.get("/admin/jobs/job/nonsense/change/").status_code == 302


# Its buttons --------------------------------------------------------------------------------------------------------


def test_cancel_ends_a_queued_job_and_is_remembered(do, job):
    do(job, "cancel")
    job.refresh_from_db()
    assert job.state == State.CANCELLED
    entry = LogEntry.objects.get(object_id=str(job.pk))
    assert (entry.user.username, entry.get_change_message()) == ("admin", "Cancelled.")


def test_retry_makes_a_new_job_and_shows_it(do, job):
    lifecycle.cancel(job.pk)
    response = do(job, "retry")
    new = Job.objects.get(repeats=job)
    assert response.redirect_chain[-1][0] == page(new, "change")
    assert new.request == job.request
    assert LogEntry.objects.filter(object_id__in=[str(job.pk), str(new.pk)]).count() == 2


def test_what_has_not_ended_is_not_retried(do, job):
    do(job, "retry")
    assert Job.objects.count() == 1


def test_only_what_succeeded_is_drawn_again(do, job, draw):
    do(job, "rerun")
    assert Job.objects.count() == 1
    draw(job, "red")
    do(job, "rerun")
    assert Job.objects.get(repeats=job).request["seed"] == job.request["seed"]


def test_a_refusal_is_told_and_leaves_nothing(do, job, source):
    lifecycle.cancel(job.pk)
    source.max_steps = 1
    source.save()
    assert "the most that shop may ask for is 1" in do(job, "retry").content.decode()
    assert Job.objects.count() == 1


def test_replay_sends_a_dead_callback_again(do, submission):
    policy = CallbackPolicy(body=lambda callback: {}, acknowledged=by_status, waits_s=(1,), max_attempts=1)
    policies.register("calling", policy)
    job = admit(submission(dialect="calling", callback=CallbackRequest("http://8.8.8.8/done")))
    callback = job.callback
    callback.state = CallbackState.DEAD
    callback.save()
    do(job, "replay")
    callback.refresh_from_db()
    assert callback.state == CallbackState.PENDING


@pytest.mark.parametrize("what", ["cancel", "retry", "rerun", "replay"])
def test_buttons_are_for_who_may_press_them(someone, job, what):
    viewer = someone("view_job", "view_callback")
    assert viewer.get(page(job, "change")).status_code == 200
    assert f'/do/{what}/"' not in viewer.get(page(job, "change")).content.decode()
    assert viewer.post(page(job, "do", what)).status_code == 403


@pytest.mark.parametrize("what", ["cancel", "retry", "rerun", "replay"])
def test_buttons_change_nothing_when_they_are_only_looked_at(ops, job, what):
    assert ops.get(page(job, "do", what)).status_code == 405


def test_a_button_that_is_not_there_is_not_found(do, job):
    assert do(job, "delete").status_code == 404


@pytest.mark.parametrize(
    "path",
    ["change", "live", "preview", "pictures/0", "pictures/0/thumbnail", "compare/{job.pk}"],
)
def test_another_tenants_job_is_not_found(someone, other_source, job, draw, path):
    draw(job, "red")
    Preview.objects.create(job=job, jpeg=b"a small jpeg")
    tenant = someone("view_job", "change_job", of=other_source)
    assert tenant.get(page(job, path.format(job=job))).status_code == 404


@pytest.mark.parametrize("what", ["cancel", "retry", "rerun"])
def test_another_tenants_job_is_not_touched(someone, other_source, job, what):
    tenant = someone("view_job", "change_job", of=other_source)
    assert tenant.post(page(job, "do", what)).status_code == 404
    job.refresh_from_db()
    assert (job.state, Job.objects.count()) == (State.QUEUED, 1)


def test_tenant_sees_its_own(someone, source, job):
    assert someone("view_job", of=source).get(page(job, "change")).status_code == 200


# Comparing ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def other(submission) -> Job:
    return admit(submission())


def test_equal_pictures_are_told_to_be_equal(ops, job, other, draw):
    draw(job, "red")
    draw(other, "red")
    assert "Equal in every pixel" in ops.get(page(job, "compare", str(other.pk))).content.decode()


def test_a_difference_has_a_figure(ops, job, other, draw):
    draw(job, (10, 20, 30))
    draw(other, (10, 20, 33))
    text = ops.get(page(job, "compare", str(other.pk))).content.decode()
    assert "Mean difference 1.000 of 255, largest 3; 100.000 % of the pixels differ" in text


def test_pictures_of_different_sizes_or_numbers_cannot_be_compared(ops, job, other, draw):
    draw(job, "red", "blue")
    draw(other, "red", size=(16, 8))
    text = ops.get(page(job, "compare", str(other.pk))).content.decode()
    assert text.count("These cannot be compared") == 2


# Pictures -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["pictures/0", "pictures/0/thumbnail"])
def test_a_browser_asks_for_a_picture_once(ops, job, draw, which):
    draw(job, "red")
    first = ops.get(page(job, which))
    assert first["Cache-Control"] == "private, max-age=86400, immutable"
    assert ops.get(page(job, which), headers={"If-None-Match": first["ETag"]}).status_code == 304


def test_a_picture_whose_file_is_gone_is_not_found(ops, job, draw):
    draw(job, "red")
    job.pictures.get().file.delete(save=False)
    assert ops.get(page(job, "pictures", "0", "thumbnail")).status_code == 404


# As curl ------------------------------------------------------------------------------------------------------------


def test_page_shows_the_job_as_curl_and_no_secret(ops, submission, key):
    job = admit(submission(received={"parameters": {"prompt": "a red circle"}}))
    curls = {curl.dialect: curl.command for curl in ops.get(page(job, "change")).context["curls"]}
    assert list(curls) == ["a1111", "native"]
    assert all("$KEY_ID" in command for command in curls.values())
    assert key.secret not in ops.get(page(job, "change")).content.decode()
