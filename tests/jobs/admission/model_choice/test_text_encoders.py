"""Checkpoints whose text encoder and VAE are files of their own."""

import hashlib
from dataclasses import replace

import pytest

from gpu_runner.protocol import Hires
from jobs.admission.admit import admit
from jobs.admission.quote import quote
from jobs.errors import Unsupported
from jobs.models import Backend, Runner
from jobs.training.dataset import DatasetFile
from jobs.training.submission import TrainingRequest, submit
from models_registry.models import (
    CONTEXT_WIDTH,
    ENCODER,
    ENCODERS,
    FAMILIES,
    FOLDERS,
    VARIANT,
    WIDTH,
    WITHOUT_TEXT,
    Family,
    Kind,
    ModelFile,
)
from models_registry.parts import encoder_fits, fill_parts
from tests.support.training_jobs import pink_discs


@pytest.fixture
def file(db):
    def file(kind, name, **fields):
        path = f"{FOLDERS[kind]}/{name}.safetensors"
        sha256 = hashlib.sha256(path.encode()).hexdigest()
        return ModelFile.objects.create(kind=kind, name=name, path=path, sha256=sha256, **fields)

    return file


@pytest.fixture
def z_image(file):
    file(Kind.VAE, "ae", metadata={FAMILIES: "sd3 flux1 chroma z_image"})
    return file(
        Kind.CHECKPOINT, "turbo", family=Family.Z_IMAGE, without_vae=True, metadata={CONTEXT_WIDTH: "2560"}
    )


def wanted(submission, **fields):
    return submission(checkpoint="turbo", vae="ae", sampler="Euler", scheduler="Automatic", **fields)


def qwen(file, name, width="2560", **fields):
    return file(Kind.TEXT_ENCODER, name, metadata={ENCODER: "qwen3_4b", WIDTH: width}, **fields)


def test_transformer_without_its_text_encoder_is_refused_with_the_name_of_the_encoder(
    submission, z_image, file
):
    qwen(file, "narrow", width="1024")
    file(Kind.TEXT_ENCODER, "t5", metadata={ENCODER: "t5_xxl", WIDTH: "4096"})
    with pytest.raises(Unsupported, match=r"turbo needs the text encoder Qwen3-4B: .* folder text_encoders"):
        admit(wanted(submission))
    assert "Qwen3-4B" in str(quote(wanted(submission)).refusals[0])


def test_job_has_the_text_encoder_that_fits(submission, z_image, file):
    qwen(file, "narrow", width="1024")
    fitting = qwen(file, "qwen")
    qwen(file, "newer")
    job = admit(wanted(submission))
    assert job.files["text_encoder:qwen"] == {"path": fitting.path, "sha256": fitting.sha256}
    assert [key for key in job.files if key.startswith("text_encoder")] == ["text_encoder:qwen"]


def test_transformer_without_vae_gets_the_only_one_that_fits_or_has_the_usual_name(submission, z_image, file):
    qwen(file, "qwen")
    file(Kind.VAE, "sepia", is_default=True)
    words = {"checkpoint": "turbo", "sampler": "Euler", "scheduler": "Automatic"}
    assert admit(submission(**words)).generation_request.vae == "ae"
    file(Kind.VAE, "of-sd3", metadata={FAMILIES: "sd3 flux1 chroma z_image"})
    assert admit(submission(**words)).generation_request.vae == "ae"
    file(Kind.VAE, "ae-2", metadata={FAMILIES: "sd3 flux1 chroma z_image"})
    with pytest.raises(Unsupported, match="turbo has no VAE"):
        admit(submission(**words))


def test_text_encoder_of_another_source_is_not_used(submission, z_image, file, other_source):
    qwen(file, "qwen").allowed_sources.add(other_source)
    with pytest.raises(Unsupported, match="needs the text encoder"):
        admit(wanted(submission))


def test_row_of_a_checkpoint_names_its_parts(submission, z_image, file, other_source):
    qwen(file, "qwen")
    own, vae = qwen(file, "of-the-row"), file(Kind.VAE, "tinted", metadata={FAMILIES: "flux1 z_image"})
    z_image.text_encoder_files.set([own])
    z_image.vae_file = vae
    z_image.save()
    words = {"checkpoint": "turbo", "sampler": "Euler", "scheduler": "Automatic"}
    job = admit(submission(**words))
    assert [key for key in job.files if key.startswith("text_encoder")] == ["text_encoder:of-the-row"]
    assert job.files["vae:tinted"]["sha256"] == vae.sha256
    own.allowed_sources.add(other_source)
    with pytest.raises(Unsupported, match="turbo uses the text encoder of-the-row, which cannot be used"):
        admit(submission(**words))
    own.allowed_sources.clear()
    ModelFile.objects.filter(pk=vae.pk).update(enabled=False)
    assert "tinted" in str(quote(submission(**words)).refusals[0])


def test_scan_fills_the_parts_of_a_row_that_no_operator_has_set(z_image, file):
    narrow, fitting = qwen(file, "narrow", width="1024"), qwen(file, "qwen_3_4b")
    fill_parts()
    z_image.refresh_from_db()
    assert (z_image.vae_file.name, [*z_image.text_encoder_files.all()]) == ("ae", [fitting])
    assert not encoder_fits(z_image, narrow)
    z_image.text_encoder_files.clear()
    z_image.mark_edited(["text_encoder_files"])
    z_image.save()
    ModelFile.objects.filter(pk=z_image.vae_file_id).update(enabled=False)
    fill_parts()
    z_image.refresh_from_db()
    assert (z_image.vae_file, z_image.text_encoder_files.count()) == (None, 0)


def test_t5_is_used_by_stable_diffusion_3_where_a_file_is_there(submission, file):
    whole = {ENCODERS: "clip_l clip_g", CONTEXT_WIDTH: "4096"}
    file(Kind.CHECKPOINT, "whole", family=Family.SD3, metadata=whole)
    words = {"checkpoint": "whole", "sampler": "Euler", "scheduler": "Automatic"}
    file(Kind.TEXT_ENCODER, "small", metadata={ENCODER: "t5_xxl", WIDTH: "32"})
    assert not [key for key in admit(submission(**words)).files if key.startswith("text_encoder")]
    file(Kind.TEXT_ENCODER, "t5xxl", metadata={ENCODER: "t5_xxl", WIDTH: "4096"})
    assert "text_encoder:t5xxl" in admit(submission(**words)).files


def test_schnell_notes_a_negative_prompt_and_names_each_text_encoder_that_is_missing(submission, file):
    file(Kind.VAE, "ae", metadata={FAMILIES: "sd3 flux1 chroma z_image"})
    schnell = {CONTEXT_WIDTH: "4096", VARIANT: "schnell"}
    file(Kind.CHECKPOINT, "schnell", family=Family.FLUX1, without_vae=True, metadata=schnell)
    words = {"checkpoint": "schnell", "sampler": "Euler", "scheduler": "Automatic"}
    with pytest.raises(Unsupported, match="schnell needs the text encoder CLIP-L"):
        admit(submission(**words))
    file(Kind.TEXT_ENCODER, "clip_l", metadata={ENCODER: "clip_l", WIDTH: "768"})
    with pytest.raises(Unsupported, match="schnell needs the text encoder T5-XXL"):
        admit(submission(**words))
    file(Kind.TEXT_ENCODER, "t5xxl_fp16", metadata={ENCODER: "t5_xxl", WIDTH: "4096"})
    prompt = {"prompt": "word " * 300}
    job = admit(submission(**words, **prompt))
    assert {"text_encoder:clip_l", "text_encoder:t5xxl_fp16", "vae:ae"} <= set(job.files)
    assert "prompt: cut to 256 tokens" in job.transitions.get().note
    job = admit(submission(**words, negative_prompt="blue"))
    assert "negative_prompt: no effect with FLUX.1 schnell" in job.transitions.get().note


def test_unet_alone_as_second_checkpoint_gets_its_text_encoder_too(submission, checkpoint, file):
    alone = {"family": checkpoint.family, "metadata": {WITHOUT_TEXT: "yes"}}
    file(Kind.CHECKPOINT, "unet", **alone)
    hires = Hires(width=128, height=128, strength=0.5, checkpoint="unet")
    with pytest.raises(Unsupported, match="unet needs the text encoder CLIP-L"):
        admit(submission(hires=hires))
    file(Kind.TEXT_ENCODER, "clip_l", metadata={ENCODER: "clip_l", WIDTH: "768"})
    assert "text_encoder:clip_l" in admit(submission(hires=hires)).files
    assert "text_encoder:clip_l" not in admit(submission()).files


def test_checkpoint_that_contains_its_text_encoder_uses_it(submission, file):
    file(Kind.CHECKPOINT, "whole", family=Family.SD3, metadata={ENCODERS: "clip_l clip_g"})
    job = admit(submission(checkpoint="whole", sampler="Euler", scheduler="Automatic"))
    assert not [key for key in job.files if key.startswith("text_encoder")]


@pytest.mark.parametrize(
    ("families", "named"), [("sd3 flux1 chroma z_image", "Stable Diffusion 3.x"), ("flux2", "FLUX.2")]
)
def test_vae_of_other_latents_is_refused_for_stable_diffusion(submission, checkpoint, file, families, named):
    file(Kind.VAE, "ae", metadata={FAMILIES: families})
    with pytest.raises(Unsupported, match=f"ae is for {named}.*, and {checkpoint.name} is not") as refused:
        admit(submission(vae="ae"))
    assert refused.value.field == "vae"


def test_vae_of_stable_diffusion_is_refused_for_a_transformer(submission, z_image, file):
    qwen(file, "qwen")
    file(Kind.VAE, "sepia")
    with pytest.raises(Unsupported, match=r"sepia is for Stable Diffusion 1\.x"):
        admit(submission(checkpoint="turbo", vae="sepia", sampler="Euler", scheduler="Automatic"))


def test_lora_of_another_family_is_refused_by_name(submission, checkpoint, file):
    file(Kind.LORA, "style", family=Family.FLUX1)
    with pytest.raises(Unsupported, match=f"style is for FLUX.1, and {checkpoint.name} is not"):
        admit(submission(loras=[{"name": "style"}]))


def test_training_of_a_transformer_has_its_vae_and_text_encoder(key, z_image, file):
    Runner.objects.create(name="trainer", url="http://127.0.0.1:1", backend=Backend.TRAINING)
    files = [DatasetFile(f"{n}.png", data) for n, data in enumerate(pink_discs(2, side=64))]
    request = TrainingRequest(key.source, key, "native", "zorb", files, base="turbo", settings={"steps": 3})
    with pytest.raises(Unsupported, match="turbo needs the text encoder Qwen3-4B"):
        submit(request)
    qwen(file, "qwen")
    job, _is_new = submit(request)
    assert job.generation_request.vae == "ae"
    assert job.files.keys() == {"vae:ae", "text_encoder:qwen"}
    ModelFile.objects.filter(kind=Kind.VAE).delete()
    with pytest.raises(Unsupported, match="turbo has no VAE"):
        submit(replace(request, name="second"))
