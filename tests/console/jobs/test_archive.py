"""Archived jobs: search by id, and tenant isolation."""

import uuid

import pytest
from django.utils import timezone

from jobs.models import ArchivedJob

pytestmark = pytest.mark.django_db
PAGE = "/admin/jobs/archivedjob/"


@pytest.fixture
def archived():
    def archived(source, **fields) -> ArchivedJob:
        now = timezone.now()
        defaults = {"dialect": "native", "state": "succeeded", "created_at": now, "finished_at": now}
        record = {"request": {"prompt": f"the prompt of {source.name}"}}
        return ArchivedJob.objects.create(
            id=uuid.uuid4(), source=source, record=record, **(defaults | fields)
        )

    return archived


def test_archived_job_is_found_by_its_id_and_its_external_id(ops, source, archived):
    job, other = archived(source, external_id="order-7"), archived(source)
    for term in (str(job.pk), "order-7"):
        page = ops.get(PAGE, {"q": term}).content.decode()
        assert str(job.pk) in page
        assert str(other.pk) not in page


def test_record_is_shown_and_read_only(ops, source, archived):
    job = archived(source)
    assert "the prompt of shop" in ops.get(f"{PAGE}{job.pk}/change/").content.decode()
    assert ops.post(f"{PAGE}{job.pk}/change/", {"state": "failed"}).status_code == 403
    assert ops.post(f"{PAGE}{job.pk}/delete/", {"post": "yes"}).status_code == 403


def test_tenant_sees_only_its_own_archived_jobs(sign_in, source, other_source, archived):
    mine, foreign = archived(source), archived(other_source)
    tenant = sign_in("tenant", source)
    page = tenant.get(PAGE).content.decode()
    assert str(mine.pk) in page
    assert str(foreign.pk) not in page
    assert "the prompt of blog" not in tenant.get(f"{PAGE}{foreign.pk}/change/", follow=True).content.decode()
    assert str(foreign.pk) not in tenant.get(PAGE, {"q": str(foreign.pk)}).content.decode().replace(
        f'value="{foreign.pk}"', ""
    )
