"""Who changed or looked at what."""

from datetime import timedelta

import pytest
from django.utils import timezone

from access.models import AccessKey
from console.audit.middleware import forget_old
from console.models import AuditEntry
from jobs.admission.admit import admit


@pytest.fixture
def trail(ops):
    """What came since the first sign-in."""
    AuditEntry.objects.all().delete()
    return lambda: [
        (entry.kind, entry.page, entry.object_id, entry.detail) for entry in AuditEntry.objects.all()
    ]


def test_looking_at_a_job_is_noted_with_who_it_was(ops, trail, submission):
    job = admit(submission())
    ops.get(f"/admin/jobs/job/{job.pk}/change/")
    assert trail() == [("look", "jobs_job_change", str(job.pk), "")]
    assert AuditEntry.objects.get().username == "admin"


def test_lists_and_what_a_page_asks_for_itself_are_not_noted(ops, trail):
    for page in ("/admin/", "/admin/jobs/job/", "/admin/dashboard/live/", "/admin/jsi18n/"):
        ops.get(page)
    assert trail() == []


def test_an_action_is_noted_with_the_rows_it_was_for_and_no_secret(act, trail, source):
    act("access/businesssource", "create_key", source)
    assert trail() == [("deed", "access_businesssource_changelist", "", f"create_key: {source.pk}")]
    secret = AccessKey.objects.get().secret
    assert secret not in str(list(AuditEntry.objects.values_list()))


def test_what_was_tried_in_vain_is_noted_too(sign_in, key):
    client = sign_in("viewer")
    client.get(f"/admin/access/accesskey/{key.pk}/change/")
    assert AuditEntry.objects.get(page="access_accesskey_change").status == 403


def test_sign_ins_are_noted_and_refused_ones_without_what_was_typed(client, django_user_model):
    django_user_model.objects.create_user("ann", password="right", is_staff=True)
    for password in ("wrong", "right"):
        client.post("/admin/login/", {"username": "ann", "password": password})
    client.post("/admin/logout/")
    assert list(AuditEntry.objects.order_by("id").values_list("kind", "username")) == [
        ("refused", ""),
        ("sign_in", "ann"),
        ("sign_out", "ann"),
    ]


def test_old_entries_are_forgotten(db, settings):
    for days in (1, settings.AUDIT_KEEP_DAYS + 1):
        AuditEntry.objects.create(kind="look", created_at=timezone.now() - timedelta(days=days))
    assert forget_old() == 1
    assert AuditEntry.objects.count() == 1


def test_the_trail_is_read_only_and_for_admins(client, sign_in):
    client = sign_in("admin")
    assert client.get("/admin/console/auditentry/?q=a-admin").status_code == 200
    entry = AuditEntry.objects.first()
    assert client.post(f"/admin/console/auditentry/{entry.pk}/delete/", {"post": "yes"}).status_code == 403


def test_the_trail_is_not_for_operators(sign_in):
    assert sign_in("operator").get("/admin/console/auditentry/").status_code == 403


def test_calls_of_the_apis_are_no_part_of_the_trail(client, db):
    client.get("/api/v1/jobs")
    assert not AuditEntry.objects.exists()


def test_an_entry_names_the_page_as_the_menu_does_and_leads_to_the_object(ops, submission):
    job = admit(submission())
    page = f"/admin/jobs/job/{job.pk}/change/"
    ops.get(page)
    told = ops.get("/admin/console/auditentry/").content.decode()
    assert f'href="{page}">{job.pk}</a>' in told
    assert "jobs_job_change" not in told
