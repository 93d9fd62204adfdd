"""Admin lists: constant number of queries, and no secrets."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from access.models import AccessKey, BusinessSource, Posting
from jobs.admission.admit import admit
from jobs.models import Runner
from jobs.models.storage_target import StorageTarget
from models_registry.models import Kind, ModelFile

pytestmark = pytest.mark.slow

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
    with CaptureQueriesContext(connection) as captured:
        assert ops.get(f"/admin/{page}/").status_code == 200
    return len(captured)


@pytest.mark.parametrize("page", LISTS)
def test_number_of_queries_does_not_depend_on_the_number_of_rows(ops, fill, page):
    fill("first")
    few = queries(ops, page)
    for number in range(5):
        fill(f"more-{number}")
    assert queries(ops, page) == few <= 12  # lists of model files also read scans, tags, covers and samples


@pytest.mark.parametrize("page", LISTS)
def test_lists_show_no_secrets(ops, fill, page):
    fill("first")
    text = ops.get(f"/admin/{page}/").content.decode()
    secrets = [key.secret for key in AccessKey.objects.all()] + ["a-token-of-a-runner"]
    assert not [secret for secret in secrets if secret in text]


def test_ledger_is_read_only(ops, fill):
    fill("first")
    posting = Posting.objects.first()
    assert ops.get("/admin/access/posting/add/").status_code == 403
    assert ops.post(f"/admin/access/posting/{posting.pk}/delete/", {"post": "yes"}).status_code == 403


def test_pages_show_the_product_name(ops):
    assert "Atelier 画坊" in ops.get("/admin/").content.decode()


@pytest.mark.parametrize(("query", "filtered"), [("", False), ("?kind__exact=reserve", True)])
def test_show_all_is_offered_only_while_a_filter_is_active(ops, fill, query, filtered):
    fill("first")
    assert ("Show all" in ops.get(f"/admin/access/posting/{query}").content.decode()) is filtered


def test_ledger_links_to_the_job_and_is_searched_by_job_id(ops, fill):
    fill("first")
    fill("second")
    posting = Posting.objects.first()
    found = ops.get("/admin/access/posting/", {"q": str(posting.job_id)})
    assert [row.pk for row in found.context["cl"].result_list] == [posting.pk]
    assert f"/admin/jobs/job/{posting.job_id}/change/" in found.content.decode()
    assert not ops.get("/admin/access/posting/", {"q": "no id"}).context["cl"].result_list


def test_heading_does_not_capitalize_the_name_of_the_object(ops, key):
    heading = ops.get(f"/admin/access/accesskey/{key.pk}/change/").content.decode().partition("</h1>")[0]
    assert f">{key.key_id}<" in "".join(heading.split())


def test_pages_have_no_link_to_the_site_root(ops, client):
    for page in (ops.get("/admin/"), client.get("/admin/login/")):
        assert 'href="/"' not in page.content.decode()


@pytest.mark.parametrize("page", ["jobs/job", "jobs/callback", "access/businesssource"])
@pytest.mark.parametrize("row", ["x", "", "\0", "9" * 400, "-1"])
def test_action_on_an_invalid_id_is_refused(ops, page, row):
    ops.raise_request_exception = False
    form = {"action": "cancel", "_selected_action": [row]}
    assert ops.post(f"/admin/{page}/", form).status_code in {200, 302, 400}
