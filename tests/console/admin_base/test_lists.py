"""Lists cost the same number of queries however long they are, and show no secret."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from access.models import AccessKey, BusinessSource, Posting
from jobs.admission.admit import admit
from jobs.models import Runner
from jobs.models.storage_target import StorageTarget
from models_registry.models import Kind, ModelFile

LISTS = [
    "access/businesssource",
    "access/accesskey",
    "access/posting",
    "jobs/job",
    "jobs/runner",
    "jobs/storagetarget",
    "models_registry/checkpoint",
    "models_registry/modelfile",
]


@pytest.fixture
def fill(submission, checkpoint):
    def fill(tag: str) -> None:
        source = BusinessSource.objects.create(name=f"source-{tag}")
        key, _secret = AccessKey.issue(source)
        admit(submission(source=source, key=key))
        StorageTarget.objects.create(channel=tag)
        Runner.objects.create(name=tag, url="http://127.0.0.1:9", token="a-token-of-a-runner")
        ModelFile.objects.create(kind=Kind.CHECKPOINT, name=tag, path=f"checkpoints/{tag}.safetensors")

    return fill


def queries(ops, page: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert ops.get(f"/admin/{page}/").status_code == 200
    return len(captured)


@pytest.mark.parametrize("page", LISTS)
def test_a_list_does_not_ask_more_when_it_grows(ops, fill, page):
    fill("first")
    few = queries(ops, page)
    for number in range(5):
        fill(f"more-{number}")
    assert queries(ops, page) == few <= 10


@pytest.mark.parametrize("page", LISTS)
def test_no_list_shows_a_secret(ops, fill, page):
    fill("first")
    text = ops.get(f"/admin/{page}/").content.decode()
    secrets = [key.secret for key in AccessKey.objects.all()] + ["a-token-of-a-runner"]
    assert not [secret for secret in secrets if secret in text]


def test_the_ledger_cannot_be_changed(ops, fill):
    fill("first")
    posting = Posting.objects.first()
    assert ops.get("/admin/access/posting/add/").status_code == 403
    assert ops.post(f"/admin/access/posting/{posting.pk}/delete/", {"post": "yes"}).status_code == 403


def test_the_console_has_its_name(ops):
    assert "Atelier 画坊" in ops.get("/admin/").content.decode()


@pytest.mark.parametrize(("query", "narrowed"), [("", False), ("?kind__exact=reserve", True)])
def test_only_a_narrowed_list_offers_to_show_all(ops, fill, query, narrowed):
    fill("first")
    assert ("Show all" in ops.get(f"/admin/access/posting/{query}").content.decode()) is narrowed


def test_the_ledger_leads_to_the_job_and_is_searched_by_it(ops, fill):
    fill("first")
    fill("second")
    posting = Posting.objects.first()
    found = ops.get("/admin/access/posting/", {"q": str(posting.job_id)})
    assert [row.pk for row in found.context["cl"].result_list] == [posting.pk]
    assert f"/admin/jobs/job/{posting.job_id}/change/" in found.content.decode()
    assert not ops.get("/admin/access/posting/", {"q": "no id"}).context["cl"].result_list


def test_a_page_writes_the_name_of_its_object_as_it_is(ops, key):
    heading = ops.get(f"/admin/access/accesskey/{key.pk}/change/").content.decode().partition("</h1>")[0]
    assert f">{key.key_id}<" in "".join(heading.split())


def test_no_page_leads_to_a_site_that_is_not_there(ops, client):
    for page in (ops.get("/admin/"), client.get("/admin/login/")):
        assert 'href="/"' not in page.content.decode()
