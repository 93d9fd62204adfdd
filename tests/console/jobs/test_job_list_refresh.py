"""List of jobs: errors, search by words of the prompt, cancelling in the row, and the table that refreshes itself."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.jobs import job_list
from jobs.admission.admit import admit
from jobs.models import Job, State

pytestmark = pytest.mark.slow

LIST = "/admin/jobs/job/"


@pytest.fixture
def add(submission):
    """``add("a red circle", minutes_ago=3)``"""

    def add(prompt, minutes_ago=0, **fields):
        job = admit(submission(prompt=prompt))
        Job.objects.filter(pk=job.pk).update(
            created_at=timezone.now() - timedelta(minutes=minutes_ago), **fields
        )
        return job.pk

    return add


def listed(client, **query) -> list:
    return [job.pk for job in client.get(LIST, query).context["cl"].result_list]


def test_words_of_the_prompt_are_searched_after_ids_and_error_codes(ops, add):
    circle, square = add("A red circle", 1), add("a RED square")
    failed = add("a blue star", 2, state=State.FAILED, error_code="out_of_memory")
    assert listed(ops, q="red") == [square, circle]
    assert listed(ops, q="circle red") == [circle]
    assert listed(ops, q="out_of_memory") == [failed]
    assert listed(ops, q="red", state="failed") == []
    assert listed(ops, q="100% of_it") == []


def test_search_of_prompts_is_limited_to_a_window_and_continues_behind_it(ops, add, monkeypatch):
    monkeypatch.setattr(job_list, "WINDOW", 2)
    pks = [add("a red circle" if number == 4 else "a star", number) for number in range(5)]
    page, found = ops.get(LIST, {"q": "red"}), []
    for _number in range(3):
        found.append([job.pk for job in page.context["cl"].result_list])
        older = page.context["cl"].paginator.older
        if not older:
            break
        assert "Searched back to" in page.content.decode()
        page = ops.get(LIST + older)
    assert found == [[], [], [pks[4]]]


def test_search_of_prompts_reads_no_more_jobs_than_its_window(ops, add):
    add("a red circle")
    with CaptureQueriesContext(connection) as captured:
        listed(ops, q="nowhere")
    assert not [query["sql"] for query in captured if "COUNT(" in query["sql"].upper()]
    assert any(f"OFFSET {job_list.WINDOW - 1}" in query["sql"] for query in captured)


def test_tenant_finds_no_prompts_of_other_tenants(sign_in, add, other_source):
    add("a red circle")
    assert listed(sign_in("tenant", other_source), q="red") == []


def test_error_is_shown_with_its_message(ops, add):
    add("a star", state=State.FAILED, error_code="internal", error_message="<b>boom</b> " + "x" * 500)
    text = ops.get(LIST).content.decode()
    assert "<code>internal</code>" in text
    assert "&lt;b&gt;boom&lt;/b&gt; xxx" in text
    assert "x" * 200 not in text


def test_refresh_returns_the_table_alone(ops, add):
    pk = add("a red circle")
    response = ops.get(LIST, {"state": "queued"}, headers={"X-Refresh": "1"})
    text = response.content.decode()
    assert text.strip().startswith("<div")
    assert 'id="result_list"' in text
    assert str(pk) in text
    assert "<html" not in text
    assert 'data-every="5"' in ops.get(LIST).content.decode()


def test_queued_job_is_cancelled_in_its_row_and_the_filter_is_kept(ops, add):
    queued, ended = add("a star"), add("a star", state=State.SUCCEEDED)
    text = ops.get(LIST).content.decode()
    action = f"{LIST}{queued}/do/cancel/?back=list"
    assert f'formaction="{action}"' in text
    assert f"{ended}/do/cancel/" not in text
    here = {"Referer": f"http://testserver{LIST}?state=queued"}
    assert ops.post(action, headers=here).url == f"{LIST}?state=queued"
    assert Job.objects.get(pk=queued).state == State.CANCELLED
    elsewhere = {"Referer": "http://evil.example/?state=queued"}
    assert ops.post(action, headers=elsewhere).url == LIST


def test_row_of_a_role_that_may_not_cancel_has_no_button(sign_in, add):
    add("a star")
    assert "do/cancel/" not in sign_in("viewer").get(LIST).content.decode()
