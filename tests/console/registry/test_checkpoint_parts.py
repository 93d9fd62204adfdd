"""The page of a checkpoint offers the VAEs and text encoders that fit it."""

import pytest
from django.forms import modelform_factory

from console.registry.model_files import CheckpointForm
from models_registry.models import (
    CONTEXT_WIDTH,
    ENCODER,
    FAMILIES,
    WIDTH,
    Checkpoint,
    Family,
    Kind,
    ModelFile,
)

FIELDS = ["vae_file", "text_encoder_files"]


@pytest.fixture
def files(db):
    def file(kind, name, **metadata):
        return ModelFile.objects.create(kind=kind, name=name, path=f"{name}.safetensors", metadata=metadata)

    return {
        "ae": file(Kind.VAE, "ae", **{FAMILIES: "sd3 flux1 chroma z_image"}),
        "sepia": file(Kind.VAE, "sepia"),
        "t5": file(Kind.TEXT_ENCODER, "t5", **{ENCODER: "t5_xxl", WIDTH: "4096"}),
        "t5-fp8": file(Kind.TEXT_ENCODER, "t5-fp8", **{ENCODER: "t5_xxl", WIDTH: "4096"}),
        "small": file(Kind.TEXT_ENCODER, "small", **{ENCODER: "t5_xxl", WIDTH: "512"}),
        "qwen": file(Kind.TEXT_ENCODER, "qwen", **{ENCODER: "qwen3_4b", WIDTH: "2560"}),
    }


@pytest.fixture
def form_of(files):
    row = {"kind": Kind.CHECKPOINT, "family": Family.CHROMA, "name": "chroma", "path": "chroma.safetensors"}
    chroma = Checkpoint.objects.create(**row, without_vae=True, metadata={CONTEXT_WIDTH: "4096"})
    form = modelform_factory(Checkpoint, form=CheckpointForm, fields=FIELDS)

    def build(vae, *encoders):
        chosen = {"vae_file": files[vae].pk, "text_encoder_files": [files[name].pk for name in encoders]}
        return form(chosen | {"default_sampler": "", "default_scheduler": ""}, instance=chroma)

    return build


def test_only_files_that_fit_can_be_chosen(form_of):
    form = form_of("ae", "t5-fp8")
    assert [file.name for file in form.fields["text_encoder_files"].queryset] == ["t5", "t5-fp8"]
    assert [file.name for file in form.fields["vae_file"].queryset] == ["ae"]
    assert form.is_valid()
    saved = form.save()
    assert (saved.vae_file.name, [file.name for file in saved.text_encoder_files.all()]) == ("ae", ["t5-fp8"])


@pytest.mark.parametrize(
    ("chosen", "field"),
    [
        (("sepia",), "vae_file"),
        (("ae", "qwen"), "text_encoder_files"),
        (("ae", "t5", "t5-fp8"), "text_encoder_files"),
    ],
    ids=["latents", "kind", "twice"],
)
def test_other_files_are_an_error_of_their_field(form_of, chosen, field):
    assert set(form_of(*chosen).errors) == {field}
