"""Search of the side bar: finds what the user may see, and nothing else."""

import pytest

from access.models import AccessKey
from jobs.admission.admit import admit

pytestmark = [pytest.mark.slow, pytest.mark.postgres]


def found(client, term: str) -> str:
    response = client.get("/admin/search/", {"s": term})
    assert response.status_code == 200
    return response.content.decode()


@pytest.fixture
def job(submission):
    return admit(submission(external_id="order-77"))


def test_pages_models_jobs_sources_and_keys_are_found(ops, job, key, checkpoint):
    assert f"/models_registry/modelfile/{checkpoint.pk}/" in found(ops, "shap")
    assert f"/jobs/job/{job.pk}/" in found(ops, str(job.pk))
    assert f"/jobs/job/{job.pk}/" in found(ops, str(job.pk)[:9])
    assert f"/jobs/job/{job.pk}/" in found(ops, "order-77")
    assert f"/access/businesssource/{key.source_id}/" in found(ops, "sho")
    assert f"/access/accesskey/{key.pk}/" in found(ops, key.key_id[:8])
    assert "/admin/models_registry/lora/" in found(ops, "lora")
    assert found(ops, "").strip() == ""


def test_search_without_a_result_says_so(ops, job):
    assert "Nothing found for “no &lt;such&gt; thing”." in found(ops, "no <such> thing")
    assert "Nothing found" not in found(ops, "order-77")


@pytest.mark.parametrize("term", ["%", "'; --", "\0", "ff" * 400, "-" * 20, "<b>"])
def test_odd_terms_find_nothing(ops, job, term):
    assert "<b>" not in found(ops, term)


def test_tenant_finds_only_its_own_rows(sign_in, job, key, other_source):
    other_key, _secret = AccessKey.issue(other_source)
    client = sign_in("tenant", other_source)
    for term in (str(job.pk), "order-77", key.source.name, key.key_id):
        assert "/change/" not in found(client, term)
    assert f"/access/accesskey/{other_key.pk}/" in found(client, other_key.key_id)
