"""List of jobs: keyset pagination, filters, search and tenant isolation."""

import re
from datetime import timedelta
from itertools import chain

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from access.models import Membership
from console.jobs.admin import JobAdmin
from jobs.admission.admit import admit
from jobs.models import Job, Lane, Runner, State
from models_registry.models import Family, Kind, ModelFile

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

LIST = "/admin/jobs/job/"


@pytest.fixture
def jobs(submission):
    """Five jobs, newest first; two of them have the same creation time."""
    now = timezone.now()
    created = [admit(submission()) for _ in range(5)]
    for job, age in zip(created, [0, 1, 1, 2, 3], strict=True):
        Job.objects.filter(pk=job.pk).update(created_at=now - timedelta(minutes=age))
    return list(Job.objects.order_by("-created_at", "-pk"))


@pytest.fixture
def listed(ops):
    def listed(client=ops, **query):
        return [job.pk for job in client.get(LIST, query).context["cl"].result_list]

    return listed


@pytest.fixture
def pages_of_two(monkeypatch):
    monkeypatch.setattr(JobAdmin, "list_per_page", 2)


def link(response, rel: str) -> str | None:
    found = re.search(f'rel="{rel}" href="([^"]+)"', response.content.decode())
    return LIST + found[1].replace("&amp;", "&") if found else None


def pages_from(ops, page: str, rel: str) -> list:
    pages = []
    while page:
        response = ops.get(page)
        pages.append([job.pk for job in response.context["cl"].result_list])
        page = link(response, rel)
    return pages


def test_older_pages_show_every_job_once(ops, jobs, pages_of_two):
    pages = pages_from(ops, LIST, "next")
    assert [len(page) for page in pages] == [2, 2, 1]
    assert list(chain(*pages)) == [job.pk for job in jobs]


def test_newer_pages_have_the_same_jobs_as_older_pages(ops, jobs, pages_of_two):
    last = link(ops.get(link(ops.get(LIST), "next")), "next")
    assert pages_from(ops, last, "prev") == [[jobs[4].pk], [jobs[2].pk, jobs[3].pk], [jobs[0].pk, jobs[1].pk]]


def test_filter_is_kept_while_paging_and_its_form_has_no_cursor(ops, jobs, pages_of_two):
    response = ops.get(LIST, {"state": "queued"})
    older = link(response, "next")
    assert "state=queued" in older
    assert "older_than" not in ops.get(older).context["cl"].get_query_string()


@pytest.mark.parametrize("cursor", ["x", "20260101T000000.000000_7", "20269999T000000.000000_x", "_", "\0"])
def test_invalid_cursor_redirects_to_the_newest_page(ops, jobs, cursor):
    response = ops.get(LIST, {"older_than": cursor}, follow=True)
    assert len(response.context["cl"].result_list) == 5


def test_list_runs_no_count_query(ops, jobs):
    with CaptureQueriesContext(connection) as captured:
        ops.get(LIST)
    assert not [query["sql"] for query in captured if "COUNT(" in query["sql"].upper()]


def test_filter_choices_are_not_read_from_the_jobs(ops, jobs):
    with CaptureQueriesContext(connection) as captured:
        ops.get(LIST)
    assert len([query for query in captured if 'FROM "jobs_job"' in query["sql"]]) == 1


@pytest.fixture
def other_job(submission, other_source):
    """A job that differs from ``jobs`` in every attribute that has a filter."""
    checkpoint = ModelFile.objects.create(
        kind=Kind.CHECKPOINT,
        family=Family.SD15,
        name="other",
        path="checkpoints/other.safetensors",
        sha256="1" * 64,
    )
    job = admit(
        submission(source=other_source, key=None, dialect="native", lane=Lane.BULK, checkpoint="other")
    )
    runner = Runner.objects.create(name="local", url="http://127.0.0.1:9")
    Job.objects.filter(pk=job.pk).update(
        state=State.FAILED,
        error_code="out_of_memory",
        end_user="reader 7",
        runner=runner,
        created_at=timezone.now() - timedelta(days=1),
    )
    assert job.checkpoint == checkpoint
    return Job.objects.get(pk=job.pk)


@pytest.mark.parametrize(
    "query",
    [
        {"state": "failed"},
        {"source": "{0.source_id}"},
        {"dialect": "native"},
        {"lane": "2"},
        {"model": "{0.checkpoint_id}"},
        {"runner": "{0.runner_id}"},
        {"error": "any"},
        {"error": "out_of_memory"},
        {"age": "yesterday"},
        {"state": "failed", "source": "{0.source_id}", "age": "yesterday", "error": "any"},
        {"q": "out_of_memory"},
        {"end_user": "reader 7"},
        {"created_at_to_0": "{0.created_at:%Y-%m-%d}", "created_at_to_1": "23:59:59"},
    ],
)
def test_filter_finds_the_matching_job(listed, jobs, other_job, query):
    assert listed(**{name: value.format(other_job) for name, value in query.items()}) == [other_job.pk]


@pytest.mark.parametrize(
    "query",
    [
        {"state": "lost"},
        {"source": "x"},
        {"lane": "\0"},
        {"model": "99999"},
        {"end_user": "reader"},
        {"end_user": "\0"},
    ],
)
def test_unknown_choice_gives_an_empty_list(listed, jobs, query):
    assert listed(**query) == []


@pytest.mark.parametrize("term", ["order-1", "order-17", "{0:.8}", "{0}"])
def test_search_finds_prefixes_of_ids(listed, jobs, submission, term):
    job = admit(submission(external_id="order-17"))
    assert listed(q=term.format(str(job.pk))) == [job.pk]


@pytest.mark.parametrize("term", ["Order-1", "rder-17", "%", "order_17"])
def test_search_is_case_sensitive_and_has_no_wildcards(listed, submission, term):
    admit(submission(external_id="order-17"))
    assert listed(q=term) == []


@pytest.fixture
def tenant(client, other_source):
    user = User.objects.create_user("tenant", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="jobs"))
    Membership.objects.create(user=user, source=other_source)
    client.force_login(user)
    return client


def test_tenant_sees_only_its_own_jobs_and_no_other_source_name(listed, tenant, jobs, other_job, source):
    assert listed(tenant) == [other_job.pk]
    assert source.name not in tenant.get(LIST).content.decode()
    assert listed(tenant, source=str(source.pk)) == []


def test_tenant_cannot_find_a_foreign_job_by_its_id(listed, tenant, jobs):
    assert listed(tenant, q=str(jobs[0].pk)) == []
