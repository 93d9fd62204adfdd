"""Audit trail of the console."""

from datetime import timedelta

import pytest
from django.utils import timezone

from access.models import AccessKey
from console.audit.middleware import delete_old_entries
from console.models import AuditEntry
from jobs.admission.admit import admit

pytestmark = pytest.mark.postgres


@pytest.fixture
def trail(ops):
    """Entries recorded since the sign-in."""
    AuditEntry.objects.all().delete()
    return lambda: [
        (entry.kind, entry.page, entry.object_id, entry.detail) for entry in AuditEntry.objects.all()
    ]


def test_viewing_a_job_is_recorded_with_the_user(ops, trail, submission):
    job = admit(submission())
    ops.get(f"/admin/jobs/job/{job.pk}/change/")
    assert trail() == [("look", "jobs_job_change", str(job.pk), "")]
    assert AuditEntry.objects.get().username == "admin"


def test_lists_and_polling_requests_are_not_recorded(ops, trail):
    for page in ("/admin/", "/admin/jobs/job/", "/admin/dashboard/live/", "/admin/jsi18n/"):
        ops.get(page)
    assert trail() == []


def test_action_is_recorded_with_its_rows_and_without_secrets(act, trail, source):
    act("access/businesssource", "create_key", source)
    assert trail() == [("deed", "access_businesssource_changelist", "", f"create_key: {source.pk}")]
    secret = AccessKey.objects.get().secret
    assert secret not in str(list(AuditEntry.objects.values_list()))


def test_denied_attempts_are_recorded(sign_in, key):
    client = sign_in("viewer")
    client.get(f"/admin/access/accesskey/{key.pk}/change/")
    assert AuditEntry.objects.get(page="access_accesskey_change").status == 403


def test_sign_ins_are_recorded_and_failed_ones_without_username(client, django_user_model):
    django_user_model.objects.create_user("ann", password="right", is_staff=True)
    for password in ("wrong", "right"):
        client.post("/admin/login/", {"username": "ann", "password": password})
    client.post("/admin/logout/")
    assert list(AuditEntry.objects.order_by("id").values_list("kind", "username")) == [
        ("refused", ""),
        ("sign_in", "ann"),
        ("sign_out", "ann"),
    ]


def test_old_entries_are_deleted(db, settings):
    for days in (1, settings.AUDIT_KEEP_DAYS + 1):
        AuditEntry.objects.create(kind="look", created_at=timezone.now() - timedelta(days=days))
    assert delete_old_entries() == 1
    assert AuditEntry.objects.count() == 1


def test_trail_is_read_only_and_visible_to_admins(client, sign_in):
    client = sign_in("admin")
    assert client.get("/admin/console/auditentry/?q=a-admin").status_code == 200
    entry = AuditEntry.objects.first()
    assert client.post(f"/admin/console/auditentry/{entry.pk}/delete/", {"post": "yes"}).status_code == 403


def test_trail_is_denied_to_operators(sign_in):
    assert sign_in("operator").get("/admin/console/auditentry/").status_code == 403


def test_api_requests_are_not_recorded(client, db):
    client.get("/api/v1/jobs")
    assert not AuditEntry.objects.exists()


def test_entry_shows_the_menu_name_of_its_page_and_links_to_the_object(ops, submission):
    job = admit(submission())
    page = f"/admin/jobs/job/{job.pk}/change/"
    ops.get(page)
    text = ops.get("/admin/console/auditentry/").content.decode()
    assert f'href="{page}">{job.pk}</a>' in text
    assert "jobs_job_change" not in text
