"""VAE, refiner and tiling."""

import pytest

from models_registry.models import Family, Kind, ModelFile


@pytest.fixture
def vae(db) -> ModelFile:
    return ModelFile.objects.create(kind=Kind.VAE, name="soft", path="vae/soft.pt", sha256="b" * 64)


@pytest.fixture
def refiner(db) -> ModelFile:
    fields = {"kind": Kind.CHECKPOINT, "family": Family.SD15, "sha256": "c" * 64}
    return ModelFile.objects.create(name="finer", path="checkpoints/sub/finer_v2.safetensors", **fields)


def test_vae_can_be_named_by_its_file(alice, vae) -> None:
    job = alice.submit(override_settings={"sd_vae": "soft.pt"})
    assert job.generation_request.vae == "soft"
    assert job.files["vae:soft"] == {"path": "vae/soft.pt", "sha256": vae.sha256}
    assert alice.get("sd-vae").json() == [{"model_name": "soft.pt", "filename": "vae/soft.pt"}]


NAME_FORMS = ["deep", "deep_v2", "deep_v2.safetensors", "sub/deep_v2.safetensors", r"sub\deep_v2.safetensors"]


@pytest.mark.parametrize("name", [*NAME_FORMS, r"sub\deep_v2.safetensors [dddddddddd]"])
def test_models_are_found_by_the_name_forms_of_a_windows_webui(alice, name) -> None:
    """The webui writes titles and file names with the separators of its system."""
    kinds = {Kind.CHECKPOINT: "checkpoints", Kind.VAE: "vae", Kind.LORA: "loras"}
    for kind, folder in kinds.items():
        fields = {"kind": kind, "family": Family.SD15, "sha256": "d" * 64, "name": "deep"}
        ModelFile.objects.create(path=f"{folder}/sub/deep_v2.safetensors", **fields)
    options = {"sd_model_checkpoint": name, "sd_vae": name}
    job = alice.submit(override_settings=options, prompt=f"a dog <lora:{name}:0.5>", refiner_checkpoint=name)
    request = job.generation_request
    assert job.received["warnings"] == []
    assert (request.checkpoint, request.vae, request.refiner.checkpoint) == ("deep", "deep", "deep")
    assert [(lora.name, lora.unet) for lora in request.loras] == [("deep", 0.5)]


@pytest.mark.parametrize("name", ["Automatic", "None"])
def test_vae_defaults_to_that_of_the_checkpoint(alice, vae, name) -> None:
    assert alice.submit(override_settings={"sd_vae": name}).generation_request.vae == ""


def test_unknown_vae_is_a_warning(alice) -> None:
    job = alice.submit(override_settings={"sd_vae": "unknown"})
    assert job.generation_request.vae == ""
    assert "unknown" in job.received["warnings"][0]


@pytest.mark.parametrize("name", ["finer", "finer_v2", "ner_v2", "sub/finer_v2.safetensors [cccccccccc]"])
def test_refiner_is_found_by_a_part_of_its_title(alice, refiner, name) -> None:
    used = alice.submit(refiner_checkpoint=name, refiner_switch_at=0.6).generation_request.refiner
    assert (used.checkpoint, used.switch_at) == ("finer", 0.6)


def test_unknown_refiner_is_500_with_its_name(alice) -> None:
    response = alice.post("txt2img", {"refiner_checkpoint": "unknown"})
    assert response.status_code == 500
    assert response.json()["errors"] == "Could not find checkpoint with name unknown"


def test_refiner_of_another_latent_space_is_rejected(alice, refiner) -> None:
    ModelFile.objects.filter(pk=refiner.pk).update(family=Family.SDXL)
    response = alice.post("txt2img", {"refiner_checkpoint": "finer"})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "refiner_checkpoint"]


def test_refiner_switch_above_1_is_rejected(alice, refiner) -> None:
    response = alice.post("txt2img", {"refiner_checkpoint": "finer", "refiner_switch_at": 1.5})
    assert response.json()["detail"][0]["loc"] == ["body", "refiner_switch_at"]


def test_tiling_defaults_to_the_option(alice) -> None:
    assert alice.submit(tiling=True).generation_request.tiling
    assert alice.submit(override_settings={"tiling": True}).generation_request.tiling
    assert not alice.submit(tiling=False, override_settings={"tiling": True}).generation_request.tiling


def test_loras_and_embeddings_are_listed_in_the_original_format(alice) -> None:
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


def test_embeddings_that_cannot_be_used_are_listed_as_skipped(alice, checkpoint) -> None:
    def embedding(name: str, **fields) -> ModelFile:
        fields = {"kind": Kind.EMBEDDING, "path": f"embeddings/{name}.pt", **fields}
        return ModelFile.objects.create(name=name, **fields)

    embedding("fits", family=Family.SD15, metadata={"atelier.vectors": "2", "atelier.width": "768"})
    embedding("other", family=Family.SDXL, metadata={"atelier.vectors": "3", "atelier.width": "1280"})
    embedding("broken", kind=Kind.UNKNOWN, problem="it is no embedding")
    embedding("off", enabled=False, problem="it is no embedding")
    listed = alice.get("embeddings").json()
    assert listed["loaded"].keys() == {"fits"}
    assert {name: entry["vectors"] for name, entry in listed["skipped"].items()} == {"other": 3, "broken": 0}


def test_checkpoint_that_cannot_be_used_is_not_listed_and_refused_with_the_reason(alice, checkpoint) -> None:
    fields = {"kind": Kind.CHECKPOINT, "path": "checkpoints/unet.safetensors"}
    ModelFile.objects.create(name="unet", problem="Not usable: it has no text encoder", **fields)
    assert [one["model_name"] for one in alice.get("sd-models").json()] == ["shapes"]
    for body in ({"override_settings": {"sd_model_checkpoint": "unet"}}, {"refiner_checkpoint": "unet"}):
        response = alice.post("txt2img", body)
        assert response.status_code == 422
        assert "unet: Not usable: it has no text encoder" in response.content.decode()


def test_vae_that_cannot_be_used_is_refused_with_the_reason(alice, vae) -> None:
    ModelFile.objects.filter(pk=vae.pk).update(problem="its latents have 16 channels")
    response = alice.post("txt2img", {"override_settings": {"sd_vae": "soft"}})
    [entry] = response.json()["detail"]
    assert (response.status_code, entry["loc"]) == (422, ["body", "override_settings", "sd_vae"])
    assert "16 channels" in entry["msg"]


def test_checkpoint_without_vae_needs_a_named_one(alice, vae) -> None:
    fields = {"kind": Kind.CHECKPOINT, "family": Family.SD15, "sha256": "d" * 64, "without_vae": True}
    ModelFile.objects.create(name="bare", path="checkpoints/bare.safetensors", **fields)
    override = {"sd_model_checkpoint": "bare"}
    response = alice.post("txt2img", {"override_settings": override})
    assert response.status_code == 422
    assert "bare has no VAE" in response.json()["detail"][0]["msg"]
    job = alice.submit(override_settings=override | {"sd_vae": "soft.pt"})
    assert job.generation_request.vae == "soft"


def test_parts_of_a_lora_that_are_not_used_are_a_warning(alice) -> None:
    fields = {"kind": Kind.LORA, "sha256": "e" * 64, "left_out": "2: a, b"}
    ModelFile.objects.create(name="night", path="loras/night.safetensors", **fields)
    job = alice.submit(prompt="a star <lora:night:1>")
    assert [lora.name for lora in job.generation_request.loras] == ["night"]
    assert job.received["warnings"] == ["parts of <lora:night> are not used: 2: a, b"]


def test_lora_that_cannot_be_used_is_a_warning_with_the_reason(alice) -> None:
    fields = {"kind": Kind.LORA, "problem": "its modules are not those of a Stable Diffusion UNet"}
    ModelFile.objects.create(name="flux", path="loras/flux.safetensors", **fields)
    job = alice.submit(prompt="a star <lora:flux:1>")
    assert "not those of a Stable Diffusion UNet" in job.received["warnings"][0]
