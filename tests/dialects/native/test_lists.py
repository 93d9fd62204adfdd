"""Lists: jobs, usage, models, samplers, schedulers."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.models import Job, State
from models_registry.models import Family, Kind, ModelFile

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

START = datetime(2026, 1, 1, tzinfo=UTC)


def pages(caller, path: str, **query) -> list[list[dict]]:
    listed = []
    while True:
        body = caller.get(path, query).json()
        listed.append(body["items"])
        if body["next"] is None:
            return listed
        query["cursor"] = body["next"]


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(minutes=st.lists(st.integers(0, 3), max_size=7), limit=st.integers(1, 8))
def test_every_job_is_on_exactly_one_page(alice, minutes, limit):
    """This includes jobs that were created at the same time."""
    Job.objects.all().delete()
    jobs = [create_job(alice, at=START + timedelta(minutes=minute)) for minute in minutes]
    listed = pages(alice, "jobs", limit=limit)
    ids = [item["id"] for page in listed for item in page]
    assert sorted(ids) == sorted(str(job.pk) for job in jobs)
    assert all(len(page) == limit for page in listed[:-1])
    times = [item["created_at"] for page in listed for item in page]
    assert times == sorted(times, reverse=True)


def create_job(caller, at: datetime, **fields) -> Job:
    """A database row, without admission."""
    checkpoint = ModelFile.objects.get(kind=Kind.CHECKPOINT)
    given = {
        "dialect": "native",
        "created_at": at,
        "checkpoint": checkpoint,
        "checkpoint_sha256": checkpoint.sha256,
    }
    return Job.objects.create(source=caller.key.source, request={"num_images": 1}, **given | fields)


def test_new_job_during_pagination_causes_no_repetition(alice):
    for minute in range(4):
        create_job(alice, at=START + timedelta(minutes=minute))
    first = alice.get("jobs", {"limit": 2}).json()
    create_job(alice, at=START + timedelta(hours=1))
    second = alice.get("jobs", {"limit": 2, "cursor": first["next"]}).json()
    assert len({item["id"] for item in first["items"] + second["items"]}) == 4


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"state": "queued"}, 2),
        ({"state": ["failed", "queued"]}, 3),
        ({"external_id": "7"}, 1),
        ({"dialect": "a1111"}, 1),
        ({"since": "2026-01-01T00:01:00Z"}, 2),
        ({"until": "2026-01-01T00:01:00Z"}, 1),
    ],
)
def test_jobs_are_filtered(alice, query, count):
    create_job(alice, START, external_id="7")
    create_job(alice, START + timedelta(minutes=1), state=State.FAILED, dialect="a1111")
    create_job(alice, START + timedelta(minutes=2))
    assert len(alice.get("jobs", query).json()["items"]) == count


def test_jobs_of_another_tenant_are_not_listed(alice, charlie):
    create_job(alice, START)
    assert charlie.get("jobs").json() == {"items": [], "next": None}


def test_usage_is_listed_by_day(alice, charlie):
    ended = {"state": State.SUCCEEDED, "cost": 2, "device_seconds": 1.5, "images_done": 2}
    for hours in (1, 2, 30):
        create_job(alice, START, finished_at=START + timedelta(hours=hours), **ended)
    create_job(alice, START, finished_at=START, state=State.FAILED)
    first, second = pages(alice, "usage", limit=1)
    assert (first[0]["day"], first[0]["jobs"]) == ("2026-01-02", 1)
    expected = {"day": "2026-01-01", "jobs": 3, "succeeded": 2, "failed": 1, "pictures": 4, "cost": 4.0}
    assert second[0].items() >= expected.items()
    assert second[0]["device_seconds"] == 3.0
    assert charlie.get("usage").json()["items"] == []


def test_usage_is_filtered_by_day(alice):
    for day in range(4):
        create_job(alice, START, finished_at=START + timedelta(days=day), state=State.CANCELLED)
    listed = alice.get("usage", {"since": "2026-01-02", "until": "2026-01-03"}).json()["items"]
    assert [item["day"] for item in listed] == ["2026-01-03", "2026-01-02"]


def test_models_are_those_of_the_source(alice, other_source):
    ModelFile.objects.create(
        kind=Kind.LORA,
        family=Family.SD15,
        name="ink",
        path="loras/ink.safetensors",
        trigger_words="ink, sketch",
        metadata={"ss_tags": {"a": 1}},
    )
    secret = ModelFile.objects.create(kind=Kind.LORA, name="theirs", path="loras/theirs.safetensors")
    secret.allowed_sources.add(other_source)
    items = alice.get("models").json()["items"]
    assert [(item["kind"], item["name"]) for item in items] == [("checkpoint", "shapes"), ("lora", "ink")]
    assert items[1]["trigger_words"] == ["ink", "sketch"]
    assert items[1]["metadata"] == {"ss_tags": '{"a": 1}'}
    assert "path" not in items[0]


@pytest.mark.parametrize(
    ("query", "count"), [({"kind": "lora"}, 0), ({"family": "sd15"}, 1), ({"name": "SHA"}, 1)]
)
def test_models_are_filtered(alice, query, count):
    assert len(alice.get("models", query).json()["items"]) == count


def test_samplers_and_schedulers(alice):
    assert "Euler a" in [item["name"] for item in alice.get("samplers").json()["items"]]
    assert "Karras" in [item["name"] for item in alice.get("schedulers").json()["items"]]


def test_menus_of_a_checkpoint_have_what_its_family_takes(alice):
    flux = {"kind": Kind.CHECKPOINT, "family": Family.FLUX1, "path": "checkpoints/flux.safetensors"}
    ModelFile.objects.create(name="flux", **flux)
    of_all, of_flux = (
        {
            path: [item["name"] for item in alice.get(path, query).json()["items"]]
            for path in ("samplers", "schedulers")
        }
        for query in ({}, {"checkpoint": "flux"})
    )
    assert {"DDIM", "Restart"} & set(of_all["samplers"])
    assert not {"DDIM", "Restart"} & set(of_flux["samplers"])
    assert {"Euler", "DPM++ 2M"} <= set(of_flux["samplers"])
    assert set(of_flux["schedulers"]) == {"Automatic", "SGM Uniform", "Simple", "Normal", "Beta", "Karras"}
    assert alice.get("samplers", {"checkpoint": "none"}).status_code == 422
    assert alice.get("samplers", {"checkpoint": "a\0"}).status_code == 422
