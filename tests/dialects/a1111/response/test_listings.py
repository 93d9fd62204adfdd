import pytest
from django.test import Client

from dialects.a1111.response.listings import READABLE, REFRESHABLE
from models_registry.models import Kind, ModelFile

pytestmark = pytest.mark.postgres


def test_checkpoints_are_listed_in_the_original_format(alice, checkpoint) -> None:
    checkpoint.path = "checkpoints/sub/shapes.safetensors"
    checkpoint.save()
    assert alice.get("sd-models").json() == [
        {
            "title": f"sub/shapes.safetensors [{checkpoint.sha256[:10]}]",
            "model_name": "sub_shapes",
            "hash": checkpoint.sha256[:10],
            "sha256": checkpoint.sha256,
            "filename": "checkpoints/sub/shapes.safetensors",
            "config": None,
        }
    ]


def test_checkpoint_of_another_source_is_not_listed(alice, charlie, checkpoint, source) -> None:
    checkpoint.allowed_sources.set([source])
    assert len(alice.get("sd-models").json()) == 1
    assert charlie.get("sd-models").json() == []


def test_other_kinds_and_disabled_files_are_not_listed(alice) -> None:
    ModelFile.objects.create(kind=Kind.LORA, name="a", path="loras/a.safetensors")
    ModelFile.objects.create(kind=Kind.CHECKPOINT, name="b", path="checkpoints/b.safetensors", enabled=False)
    assert [model["model_name"] for model in alice.get("sd-models").json()] == ["shapes"]


def test_samplers_have_the_original_shape(alice) -> None:
    samplers = {sampler["name"]: sampler for sampler in alice.get("samplers").json()}
    assert samplers["Euler"] == {"name": "Euler", "aliases": ["k_euler"], "options": {}}
    assert samplers["DPM++ 2M"]["options"] == {"scheduler": "karras"}
    assert next(iter(samplers)) == "DPM++ 2M"


def test_schedulers_have_the_original_shape(alice) -> None:
    schedulers = {scheduler["name"]: scheduler for scheduler in alice.get("schedulers").json()}
    assert next(iter(schedulers)) == "automatic"
    assert schedulers["karras"] == {
        "name": "karras",
        "label": "Karras",
        "aliases": None,
        "default_rho": 7.0,
        "need_inner_model": False,
    }
    assert schedulers["sgm_uniform"]["aliases"] == ["SGMUniform"]


def test_first_upscaler_is_none(alice) -> None:
    assert alice.get("upscalers").json()[0]["name"] == "None"


@pytest.mark.parametrize("name", READABLE)
def test_every_list_requires_a_key(alice, name) -> None:
    assert alice.get(name).status_code == 200
    assert Client().get(f"/sdapi/v1/{name}").status_code == 401


@pytest.mark.parametrize("name", REFRESHABLE)
def test_refresh_returns_null(alice, name) -> None:
    response = alice.post(name)
    assert (response.status_code, response.content) == (200, b"null")
    assert Client().post(f"/sdapi/v1/{name}").status_code == 401


def test_command_flags_contain_no_credentials(alice) -> None:
    assert alice.get("cmd-flags").json()["api_auth"] is None


def test_ping_returns_an_empty_object(alice) -> None:
    assert alice.client.get("/internal/ping").json() == {}
