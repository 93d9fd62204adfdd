"""VAE, refiner and tiling at A1111's door."""

import pytest

from models_registry.models import Family, Kind, ModelFile


@pytest.fixture
def vae(db) -> ModelFile:
    return ModelFile.objects.create(kind=Kind.VAE, name="soft", path="vae/soft.pt", sha256="b" * 64)


@pytest.fixture
def refiner(db) -> ModelFile:
    fields = {"kind": Kind.CHECKPOINT, "family": Family.SD15, "sha256": "c" * 64}
    return ModelFile.objects.create(name="finer", path="checkpoints/sub/finer_v2.safetensors", **fields)


def test_a_vae_may_be_named_by_its_file(alice, vae) -> None:
    job = alice.submit(override_settings={"sd_vae": "soft.pt"})
    assert job.generation_request.vae == "soft"
    assert job.files["vae:soft"] == {"path": "vae/soft.pt", "sha256": vae.sha256}
    assert alice.get("sd-vae").json() == [{"model_name": "soft.pt", "filename": "vae/soft.pt"}]


@pytest.mark.parametrize("name", ["Automatic", "None"])
def test_without_a_name_it_is_the_checkpoints_own(alice, vae, name) -> None:
    assert alice.submit(override_settings={"sd_vae": name}).generation_request.vae == ""


def test_an_unknown_vae_is_a_warning(alice) -> None:
    job = alice.submit(override_settings={"sd_vae": "nowhere"})
    assert job.generation_request.vae == ""
    assert "nowhere" in job.received["warnings"][0]


@pytest.mark.parametrize("name", ["finer", "finer_v2", "ner_v2", "sub/finer_v2.safetensors [cccccccccc]"])
def test_a_refiner_is_found_by_what_its_title_contains(alice, refiner, name) -> None:
    asked = alice.submit(refiner_checkpoint=name, refiner_switch_at=0.6).generation_request.refiner
    assert (asked.checkpoint, asked.switch_at) == ("finer", 0.6)


def test_an_unknown_refiner_is_the_originals_error(alice) -> None:
    response = alice.post("txt2img", {"refiner_checkpoint": "nowhere"})
    assert response.status_code == 500
    assert response.json()["errors"] == "Could not find checkpoint with name nowhere"


def test_a_refiner_of_other_latents_is_refused(alice, refiner) -> None:
    ModelFile.objects.filter(pk=refiner.pk).update(family=Family.SDXL)
    response = alice.post("txt2img", {"refiner_checkpoint": "finer"})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "refiner_checkpoint"]


def test_a_switch_beyond_the_end_is_named(alice, refiner) -> None:
    response = alice.post("txt2img", {"refiner_checkpoint": "finer", "refiner_switch_at": 1.5})
    assert response.json()["detail"][0]["loc"] == ["body", "refiner_switch_at"]


def test_tiling_is_the_requests_or_else_the_option(alice) -> None:
    assert alice.submit(tiling=True).generation_request.tiling
    assert alice.submit(override_settings={"tiling": True}).generation_request.tiling
    assert not alice.submit(tiling=False, override_settings={"tiling": True}).generation_request.tiling


def test_loras_and_embeddings_are_listed_as_the_original_lists_them(alice) -> None:
    ModelFile.objects.create(
        kind=Kind.LORA, name="a", path="loras/a.safetensors", metadata={"ss_output_name": "b"}
    )
    sizes = {"atelier.vectors": "2", "atelier.width": "768"}
    ModelFile.objects.create(kind=Kind.EMBEDDING, name="e", path="embeddings/e.safetensors", metadata=sizes)
    [lora] = alice.get("loras").json()
    assert lora == {
        "name": "a",
        "alias": "b",
        "path": "loras/a.safetensors",
        "metadata": {"ss_output_name": "b"},
    }
    entry = alice.get("embeddings").json()["loaded"]["e"]
    assert (entry["vectors"], entry["shape"]) == (2, 768)
