"""Page of a job: content, buttons, comparison, images and tenant isolation."""

import io
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.files.base import ContentFile
from django.utils import timezone
from PIL import Image

from access.models import Membership
from access.source_settings.prompt_modes import PromptMode
from jobs.admission.admit import admit
from jobs.execution import lifecycle
from jobs.models import Job, Output, Preview, Runner, State
from jobs.models.callback import CallbackState
from jobs.outbound.callbacks import policies
from jobs.outbound.callbacks.outbox import CallbackRequest
from jobs.outbound.callbacks.policies import CallbackPolicy, by_status
from tests.support.text_model_server import DETAILS

pytestmark = pytest.mark.slow


def page(job, *rest) -> str:
    return "/".join(["/admin/jobs/job", str(job.pk), *rest, ""])


@pytest.fixture
def job(submission) -> Job:
    return admit(submission(prompt="a red circle"))


@pytest.fixture
def add_outputs():
    """Adds images of one color each to a job, and marks it as succeeded."""

    def add_outputs(job, *colors, size=(8, 8)):
        for index, color in enumerate(colors):
            png = io.BytesIO()
            Image.new("RGB", size, color).save(png, "PNG")
            output = Output(job=job, index=index, sha256=f"{job.pk.hex}{index:032}", size_bytes=1, seed=7)
            output.width, output.height = size
            output.infotext = f"a {color} square"
            output.file.save(f"{job.pk}-{index}.png", ContentFile(png.getvalue()))
        Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED)

    return add_outputs


@pytest.fixture
def runner(db) -> Runner:
    return Runner.objects.create(name="local", url="http://127.0.0.1:9", slots=4, seen_at=timezone.now())


def test_page_shows_prompts_as_written_and_as_drawn(ops, submission, text_model):
    given = {"prompt": "一只猫", "negative_prompt": "<丑>", "prompt_mode": PromptMode.EXPAND}
    text = ops.get(page(admit(submission(**given)), "change")).content.decode()
    assert '<td class="job-long">一只猫</td>' in text
    assert f'<td class="job-long">a cat, {DETAILS}</td>' in text
    assert "translated and expanded" in text


def test_page_says_why_prompts_were_not_changed(ops, submission, source, text_model):
    source.prompt_mode = PromptMode.EXPAND
    source.save()
    text_model.misbehavior = "prose"
    text = ops.get(page(admit(submission(key=None, source=source)), "change")).content.decode()
    assert "drawn as they were written: The text model failed: its answer cannot be used." in text


@pytest.fixture
def do(ops):
    return lambda job, what, client=ops: client.post(page(job, "do", what), follow=True)


@pytest.fixture
def staff_client(client, source):
    """Client signed in as a staff user with these permissions, and optionally a membership."""

    def sign_in_as(*permissions, of=None):
        user = User.objects.create_user("staff", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        if of:
            Membership.objects.create(user=user, source=of)
        client.force_login(user)
        return client

    return sign_in_as


# Content of the page -------------------------------------------------------------------------------------------------


def test_page_shows_the_result_of_the_nsfw_check(ops, job, add_outputs):
    add_outputs(job, "red", "blue", "green")
    job.outputs.filter(index=1).update(nsfw=True, nsfw_score=0.87)
    job.outputs.filter(index=2).update(nsfw=False, nsfw_score=0.04)
    text = ops.get(page(job, "change")).content.decode()
    assert "· NSFW (0.87)" in text
    assert "· not NSFW (0.04)" in text


def test_page_shows_what_an_analysis_found(ops, job):
    face = {"score": 0.93, "box": [117, 60, 208, 178], "landmarks": [[141, 104]] * 5}
    findings = [
        {"index": 0, "data": {"find": "faces", "width": 320, "height": 300, "faces": [face]}},
        {"index": 1, "data": {"find": "nsfw", "detected": True, "score": 0.97, "threshold": 0.8}},
        {
            "index": 2,
            "data": {"find": "tags", "tags": [{"name": "red_<b>", "score": 0.91, "category": "general"}]},
        },
    ]
    Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED, findings=findings)
    text = ops.get(page(job, "change")).content.decode()
    for shown in (
        "Findings",
        "320×300 · 1 face",
        "117, 60, 208, 178",
        "(141, 104)",
        "NSFW (0.97)",
        "red &lt;b&gt;",
        "0.91",
    ):
        assert shown in text


def test_page_shows_images_with_infotext(ops, job, add_outputs):
    add_outputs(job, "red", "blue")
    text = ops.get(page(job, "change")).content.decode()
    assert "a red square" in text
    assert "a blue square" in text
    assert page(job, "pictures", "1") in text


def test_timeline_shows_how_long_each_state_lasted(ops, job, runner):
    lifecycle.claim(job.pk, runner)
    job.transitions.filter(to_state=State.QUEUED).update(at=timezone.now() - timedelta(seconds=75))
    entries = ops.get(page(job, "change")).context["timeline"]
    assert [entry.transition.to_state for entry in entries] == ["queued", "running"]
    assert entries[0].lasted in {"74 s", "75 s"}


def test_queued_job_without_runner_shows_the_reason(ops, job):
    assert "No runner can run it" in ops.get(page(job, "change")).content.decode()


def test_next_job_of_the_queue_is_shown_as_such(ops, job, runner):
    assert (
        ops.get(page(job, "live")).json()["waits"]
        == "It is next in the queue: a runner is about to start it."
    )


def test_queued_job_shows_that_its_source_is_at_its_limit(ops, job, runner, submission, source):
    source.max_concurrent_jobs = 1
    source.save()
    lifecycle.claim(admit(submission()).pk, runner)
    assert "another job of shop to end" in ops.get(page(job, "live")).json()["waits"]


def test_queued_job_shows_its_position_and_estimated_start(ops, runner, submission):
    runner.slots = 1
    runner.save()
    jobs = [admit(submission()) for _ in range(4)]
    lifecycle.claim(jobs[0].pk, runner)
    waits = ops.get(page(jobs[3], "live")).json()["waits"]
    assert "all runners are full. 2 jobs are ahead of it. Estimated start: in" in waits


def test_progress_and_preview_of_a_running_job_can_be_polled(ops, job, runner):
    lifecycle.claim(job.pk, runner)
    Job.objects.filter(pk=job.pk).update(step=5, steps=20)
    Preview.objects.create(job=job, jpeg=b"a small jpeg")
    progress = ops.get(page(job, "live")).json()
    assert (progress["state"], progress["percent"], progress["ended"], progress["steps"]) == (
        "running",
        25.0,
        False,
        "step 5 of 20",
    )
    assert ops.get(progress["preview"]).content == b"a small jpeg"


def test_ended_job_is_not_polled(ops, job):
    lifecycle.cancel(job.pk)
    assert ops.get(page(job, "live")).json()["ended"] is True
    assert 'id="job-live"' not in ops.get(page(job, "change")).content.decode()


def test_postings_are_shown(ops, job):
    lifecycle.cancel(job.pk)
    postings = ops.get(page(job, "change")).context["postings"]
    assert [posting.kind for posting in postings] == ["reserve", "release"]


def test_page_of_an_unknown_job(ops, db):
    assert ops.get("/admin/jobs/job/00000000-0000-4000-8000-000000000000/change/").status_code == 404
    assert ops.get("/admin/jobs/job/nonsense/change/").status_code == 302


# Buttons ------------------------------------------------------------------------------------------------------------


def test_cancel_ends_a_queued_job_and_is_logged(do, job):
    do(job, "cancel")
    job.refresh_from_db()
    assert job.state == State.CANCELLED
    entry = LogEntry.objects.get(object_id=str(job.pk))
    assert (entry.user.username, entry.get_change_message()) == ("admin", "Cancelled.")


def test_retry_creates_a_new_job_and_redirects_to_it(do, job):
    lifecycle.cancel(job.pk)
    response = do(job, "retry")
    new = Job.objects.get(repeats=job)
    assert response.redirect_chain[-1][0] == page(new, "change")
    assert new.request == job.request
    assert LogEntry.objects.filter(object_id__in=[str(job.pk), str(new.pk)]).count() == 2


def test_unfinished_job_is_not_retried(do, job):
    do(job, "retry")
    assert Job.objects.count() == 1


def test_only_a_succeeded_job_is_rerun(do, job, add_outputs):
    do(job, "rerun")
    assert Job.objects.count() == 1
    add_outputs(job, "red")
    do(job, "rerun")
    assert Job.objects.get(repeats=job).request["seed"] == job.request["seed"]


def test_refused_retry_shows_the_reason_and_creates_no_job(do, job, source):
    lifecycle.cancel(job.pk)
    source.max_steps = 1
    source.save()
    assert "must be at most 1 for shop" in do(job, "retry").content.decode()
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
def test_buttons_require_permission(staff_client, job, what):
    viewer = staff_client("view_job", "view_callback")
    assert viewer.get(page(job, "change")).status_code == 200
    assert f'/do/{what}/"' not in viewer.get(page(job, "change")).content.decode()
    assert viewer.post(page(job, "do", what)).status_code == 403


@pytest.mark.parametrize("what", ["cancel", "retry", "rerun", "replay"])
def test_buttons_reject_get_requests(ops, job, what):
    assert ops.get(page(job, "do", what)).status_code == 405


def test_unknown_button_is_not_found(do, job):
    assert do(job, "delete").status_code == 404


@pytest.mark.parametrize(
    "path",
    ["change", "live", "preview", "pictures/0", "pictures/0/thumbnail", "compare/{job.pk}"],
)
def test_foreign_job_is_not_found(staff_client, other_source, job, add_outputs, path):
    add_outputs(job, "red")
    Preview.objects.create(job=job, jpeg=b"a small jpeg")
    tenant = staff_client("view_job", "change_job", of=other_source)
    assert tenant.get(page(job, path.format(job=job))).status_code == 404


@pytest.mark.parametrize("what", ["cancel", "retry", "rerun"])
def test_actions_on_a_foreign_job_are_not_found(staff_client, other_source, job, what):
    tenant = staff_client("view_job", "change_job", of=other_source)
    assert tenant.post(page(job, "do", what)).status_code == 404
    job.refresh_from_db()
    assert (job.state, Job.objects.count()) == (State.QUEUED, 1)


def test_tenant_sees_its_own_job(staff_client, source, job):
    assert staff_client("view_job", of=source).get(page(job, "change")).status_code == 200


# Comparison ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def other(submission) -> Job:
    return admit(submission())


def test_identical_images_are_shown_as_such(ops, job, other, add_outputs):
    add_outputs(job, "red")
    add_outputs(other, "red")
    assert "Identical pixels" in ops.get(page(job, "compare", str(other.pk))).content.decode()


def test_difference_is_measured(ops, job, other, add_outputs):
    add_outputs(job, (10, 20, 30))
    add_outputs(other, (10, 20, 33))
    text = ops.get(page(job, "compare", str(other.pk))).content.decode()
    assert "Mean difference 1.000 of 255, largest 3; 100.000 % of the pixels differ" in text


def test_images_of_different_sizes_or_numbers_are_not_comparable(ops, job, other, add_outputs):
    add_outputs(job, "red", "blue")
    add_outputs(other, "red", size=(16, 8))
    text = ops.get(page(job, "compare", str(other.pk))).content.decode()
    assert "The images have different sizes: 8×8 and 16×8." in text
    assert "Only one of the jobs has this image." in text


# Images -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["pictures/0", "pictures/0/thumbnail"])
def test_images_are_cached_by_the_browser(ops, job, add_outputs, which):
    add_outputs(job, "red")
    first = ops.get(page(job, which))
    assert first["Cache-Control"] == "private, max-age=86400, immutable"
    assert ops.get(page(job, which), headers={"If-None-Match": first["ETag"]}).status_code == 304


def test_image_whose_file_was_deleted_is_not_found(ops, job, add_outputs):
    add_outputs(job, "red")
    job.image_outputs.get().file.delete(save=False)
    assert ops.get(page(job, "pictures", "0", "thumbnail")).status_code == 404


# As code ------------------------------------------------------------------------------------------------------------


def test_page_has_the_request_as_code_in_every_language_without_secrets(ops, submission, key):
    job = admit(submission(received={"parameters": {"prompt": "a red circle"}}))
    response = ops.get(page(job, "change"))
    examples = dict(response.context["examples"])
    assert list(examples) == ["a1111", "native"]
    languages = {text.key for texts in examples.values() for text in texts}
    assert languages == {"curl", "python", "javascript", "java"}
    assert all("KEY_ID" in text.text and "a red circle" in text.text for text in examples["a1111"])
    shown = response.content.decode()
    assert 'id="example-native-java"' in shown
    assert key.secret not in shown


def test_page_says_why_a_request_is_not_shown_in_its_own_dialect(ops, submission):
    received = {"parameters": {"init_images": ["sha256:" + "0" * 64]}}
    job = admit(submission(operation="img2img", received=received))
    response = ops.get(page(job, "change"))
    assert [dialect for dialect, _texts in response.context["examples"]] == ["native"]
    assert "a1111: one of its input images was not stored as received" in response.content.decode()


def test_page_links_to_the_jobs_of_the_same_end_user(ops, submission):
    job = admit(submission(end_user="reader <7> & co"))
    text = ops.get(page(job, "change")).content.decode()
    assert "reader &lt;7&gt; &amp; co" in text
    assert "?end_user=reader%20%3C7%3E%20%26%20co" in text
