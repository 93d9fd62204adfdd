"""GET /v1/models: the checkpoints that the key may use."""

import pytest

from access.models import AccessKey
from models_registry.models import Family, Kind, ModelFile

pytestmark = pytest.mark.postgres


@pytest.fixture
def others(checkpoint, other_source):
    """A second checkpoint, one of another tenant, one that cannot be used, and a LoRA."""
    fields = {"kind": Kind.CHECKPOINT, "family": Family.SD15}
    ModelFile.objects.create(name="anime", path="checkpoints/a.ckpt", aliases=["gpt-image-1"], **fields)
    theirs = ModelFile.objects.create(name="theirs", path="checkpoints/t.ckpt", **fields)
    theirs.allowed_sources.add(other_source)
    ModelFile.objects.create(name="broken", path="checkpoints/b.ckpt", problem="truncated", **fields)
    ModelFile.objects.create(name="night", path="loras/night.ckpt", kind=Kind.LORA)


def test_models_are_the_checkpoints_of_the_source(alice, others, checkpoint):
    body = alice.get("models").json()
    assert body["object"] == "list"
    assert [model["id"] for model in body["data"]] == ["anime", "shapes"]
    assert body["data"][1] == {
        "id": "shapes",
        "object": "model",
        "created": int(checkpoint.created_at.timestamp()),
        "owned_by": "atelier",
    }


def test_key_sees_only_the_models_that_it_may_use(source, others, caller):
    client = caller(*AccessKey.issue(source, allowed_models=["checkpoint:sha*"]))
    assert [model["id"] for model in client.get("models").json()["data"]] == ["shapes"]
    response = client.get("models/anime")
    assert (response.status_code, response.json()["error"]["type"]) == (403, "permission_error")


@pytest.mark.parametrize(
    ("name", "found"), [("shapes", "shapes"), ("gpt-image-1", "anime"), ("a.ckpt", "anime")]
)
def test_model_is_found_by_any_of_its_names(alice, others, name, found):
    assert alice.get(f"models/{name}").json()["id"] == found


@pytest.mark.parametrize("name", ["theirs", "broken", "night", "nowhere", "a/b", "%00", "é"])
def test_unknown_model_is_404(alice, others, name):
    response = alice.get(f"models/{name}")
    error = response.json()["error"]
    assert response.status_code == 404
    assert error["code"] in ("model_not_found", "unknown_url")
