"""Callbacks in the console: search, replay and secrets."""

import pytest
from django.contrib.auth.models import User

from access.models import CallbackSecret
from jobs.admission.admit import admit
from jobs.models.callback import Callback, CallbackAttempt, CallbackState
from jobs.outbound.callbacks import policies
from jobs.outbound.callbacks.outbox import CallbackRequest
from jobs.outbound.callbacks.policies import CallbackPolicy, by_status


@pytest.fixture
def callback(submission) -> Callback:
    policy = CallbackPolicy(body=lambda callback: {}, acknowledged=by_status, waits_s=(1,), max_attempts=1)
    policies.register("calling", policy)
    admit(submission(dialect="calling", callback=CallbackRequest("http://8.8.8.8/done")))
    callback = Callback.objects.get()
    CallbackAttempt.objects.create(callback=callback, number=1, status=500, excerpt="It <b>broke</b>.")
    return callback


def test_dead_callback_is_sent_again(act, callback):
    Callback.objects.update(state=CallbackState.DEAD)
    assert "will be sent again: 1" in act("jobs/callback", "replay", callback).content.decode()
    callback.refresh_from_db()
    assert callback.state == CallbackState.PENDING


def test_pending_callback_is_not_sent_again(act, callback):
    page = act("jobs/callback", "replay", callback).content.decode()
    assert "1 callback is still being sent" in page
    assert "will be sent again" not in page


def test_page_shows_attempts_with_escaped_excerpts(ops, callback):
    page = ops.get(f"/admin/jobs/callback/{callback.pk}/change/").content.decode()
    assert "It &lt;b&gt;broke&lt;/b&gt;." in page
    assert "http://8.8.8.8/done" in page


def listed(ops, **query):
    return [callback.pk for callback in ops.get("/admin/jobs/callback/", query).context["cl"].result_list]


def test_filter_finds_failed_and_retrying_callbacks(ops, callback):
    assert listed(ops, state="dead") == listed(ops, state="retrying") == []
    Callback.objects.update(state=CallbackState.PENDING, attempts=1)
    assert listed(ops, state="retrying") == [callback.pk]
    Callback.objects.update(state=CallbackState.DEAD)
    assert listed(ops, state="dead") == [callback.pk]


@pytest.mark.parametrize("term", ["{0.job_id}", "http://8.8.8.8", "order-1"])
def test_callback_is_found_by_job_id_external_id_or_url(ops, callback, term):
    callback.job.external_id = "order-17"
    callback.job.save()
    assert listed(ops, q=term.format(callback)) == [callback.pk]
    assert listed(ops, q="another") == []


def test_list_and_page_link_to_the_job(ops, callback):
    link = f'href="/admin/jobs/job/{callback.job_id}/change/"'
    assert link in ops.get("/admin/jobs/callback/").content.decode()
    assert link in ops.get(f"/admin/jobs/callback/{callback.pk}/change/").content.decode()


def test_callbacks_require_permission(client, callback):
    viewer = User.objects.create_user("viewer", is_staff=True)
    client.force_login(viewer)
    assert client.get("/admin/jobs/callback/").status_code == 403


def test_callback_secret_is_shown_once(act, ops, source, secrets_in):
    page = act("access/businesssource", "create_callback_secret", source)
    secret = CallbackSecret.objects.get().secret
    assert secret in secrets_in(page)
    assert secret not in secrets_in(ops.get(f"/admin/access/businesssource/{source.pk}/change/?tab=keys"))


def test_new_callback_secret_replaces_the_old(act, source, secrets_in):
    act("access/businesssource", "create_callback_secret", source)
    old = CallbackSecret.objects.get().secret
    page = act("access/businesssource", "create_callback_secret", source)
    assert CallbackSecret.objects.get().secret in secrets_in(page)
    assert old not in secrets_in(page)
