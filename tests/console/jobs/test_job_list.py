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

LIST = "/admin/jobs/job/"


@pytest.fixture
def jobs(submission):
    """Five, the newest first; two of them of the same instant."""
    now = timezone.now()
    made = [admit(submission()) for _ in range(5)]
    for job, age in zip(made, [0, 1, 1, 2, 3], strict=True):
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


def walk(ops, page: str, rel: str) -> list:
    seen = []
    while page:
        response = ops.get(page)
        seen.append([job.pk for job in response.context["cl"].result_list])
        page = link(response, rel)
    return seen


def test_older_pages_show_every_job_once(ops, jobs, pages_of_two):
    pages = walk(ops, LIST, "next")
    assert [len(page) for page in pages] == [2, 2, 1]
    assert list(chain(*pages)) == [job.pk for job in jobs]


def test_newer_pages_lead_back_the_same_way(ops, jobs, pages_of_two):
    last = link(ops.get(link(ops.get(LIST), "next")), "next")
    assert walk(ops, last, "prev") == [[jobs[4].pk], [jobs[2].pk, jobs[3].pk], [jobs[0].pk, jobs[1].pk]]


def test_a_filter_stays_while_one_pages_and_begins_with_its_newest(ops, jobs, pages_of_two):
    response = ops.get(LIST, {"state": "queued"})
    older = link(response, "next")
    assert "state=queued" in older
    assert "older_than" not in ops.get(older).context["cl"].get_query_string()


@pytest.mark.parametrize("cursor", ["x", "20260101T000000.000000_7", "20269999T000000.000000_x", "_", "\0"])
def test_a_cursor_of_nobodys_leads_to_the_newest(ops, jobs, cursor):
    response = ops.get(LIST, {"older_than": cursor}, follow=True)
    assert len(response.context["cl"].result_list) == 5


def test_nothing_is_counted(ops, jobs):
    with CaptureQueriesContext(connection) as captured:
        ops.get(LIST)
    assert not [query["sql"] for query in captured if "COUNT(" in query["sql"].upper()]


def test_choices_of_filters_do_not_come_from_the_jobs(ops, jobs):
    with CaptureQueriesContext(connection) as captured:
        ops.get(LIST)
    assert len([query for query in captured if 'FROM "jobs_job"' in query["sql"]]) == 1


@pytest.fixture
def odd(submission, other_source):
    """A job that differs from those of ``jobs`` in all that can be filtered by."""
    other = ModelFile.objects.create(
        kind=Kind.CHECKPOINT,
        family=Family.SD15,
        name="other",
        path="checkpoints/other.safetensors",
        sha256="1" * 64,
    )
    made = admit(
        submission(source=other_source, key=None, dialect="native", lane=Lane.BULK, checkpoint="other")
    )
    runner = Runner.objects.create(name="local", url="http://127.0.0.1:9")
    Job.objects.filter(pk=made.pk).update(
        state=State.FAILED,
        error_code="out_of_memory",
        runner=runner,
        created_at=timezone.now() - timedelta(days=1),
    )
    assert made.checkpoint == other
    return Job.objects.get(pk=made.pk)


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
        {"created_at_to_0": "{0.created_at:%Y-%m-%d}", "created_at_to_1": "23:59:59"},
    ],
)
def test_filters_find_the_one(listed, jobs, odd, query):
    assert listed(**{name: value.format(odd) for name, value in query.items()}) == [odd.pk]


@pytest.mark.parametrize("query", [{"state": "lost"}, {"source": "x"}, {"lane": "\0"}, {"model": "99999"}])
def test_what_is_no_choice_finds_nothing(listed, jobs, query):
    assert listed(**query) == []


@pytest.mark.parametrize("words", ["order-1", "order-17", "{0:.8}", "{0}"])
def test_search_finds_by_beginnings_of_ids(listed, jobs, submission, words):
    job = admit(submission(external_id="order-17"))
    assert listed(q=words.format(str(job.pk))) == [job.pk]


@pytest.mark.parametrize("words", ["Order-1", "rder-17", "%", "order_17"])
def test_search_finds_nothing_else(listed, submission, words):
    admit(submission(external_id="order-17"))
    assert listed(q=words) == []


@pytest.fixture
def tenant(client, other_source):
    user = User.objects.create_user("tenant", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="jobs"))
    Membership.objects.create(user=user, source=other_source)
    client.force_login(user)
    return client


def test_tenant_sees_its_own_jobs_and_no_others_name(listed, tenant, jobs, odd, source):
    assert listed(tenant) == [odd.pk]
    assert source.name not in tenant.get(LIST).content.decode()
    assert listed(tenant, source=str(source.pk)) == []


def test_tenant_finds_no_others_job_by_its_id(listed, tenant, jobs):
    assert listed(tenant, q=str(jobs[0].pk)) == []
