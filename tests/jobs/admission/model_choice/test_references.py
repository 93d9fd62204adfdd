"""Checkpoints that read reference images: how a row says so, what is refused, and what is paid."""

import hashlib

import pytest
from django.core.exceptions import ValidationError

from gpu_runner.protocol import InputImage
from gpu_runner.protocol.families.cost import family_cost
from gpu_runner.protocol.families.transformers import FLUX1_KONTEXT, FLUX2
from jobs.admission.admit import admit
from jobs.admission.quote import quote
from jobs.errors import Unsupported
from models_registry.facts.variants import hinted_variant
from models_registry.models import ENCODER, FAMILIES, FOLDERS, VARIANT, VISION, Family, Kind, ModelFile
from tests.support.fake_runner import png

WORDS = {"sampler": "Euler", "scheduler": "Automatic", "num_inference_steps": 10, "vae": "ae"}
KONTEXT = {"checkpoint": "kontext", **WORDS}


def file(kind, name, **fields):
    path = f"{FOLDERS[kind]}/{name}.safetensors"
    return ModelFile.objects.create(
        kind=kind, name=name, path=path, sha256=hashlib.sha256(path.encode()).hexdigest(), **fields
    )


@pytest.fixture
def parts(db):
    file(Kind.VAE, "ae", metadata={FAMILIES: "flux1 flux2 qwen_image"})
    for kind in ("clip_l", "t5_xxl", "qwen3_4b"):
        file(Kind.TEXT_ENCODER, kind, metadata={ENCODER: kind})


@pytest.fixture
def kontext(parts):
    fields = {"family": Family.FLUX1, "without_vae": True, "metadata": {VARIANT: "dev"}}
    file(Kind.CHECKPOINT, "dev", **fields)
    return file(Kind.CHECKPOINT, "kontext", variant="kontext", **fields)


def sent(*sides):
    """Images of these widths, and the field of a request that names them."""
    files = [png(side, 64) for side in sides]
    found = {hashlib.sha256(data).hexdigest(): data for data in files}
    return {"input_files": found, "images": tuple(InputImage(sha256=name) for name in found)}


def drawn_over(*sides):
    images = sent(*sides)
    init = {"task": "img2img", "init_images": images.pop("images"), "num_images": len(sides), "strength": 1}
    return images | init


def test_each_reference_is_paid_by_its_tokens_in_quote_and_job(submission, kontext):
    """The references of Kontext have a megapixel each, whatever the size of the image."""
    plain = admit(submission(**KONTEXT)).cost_estimate
    two = submission(**KONTEXT, **sent(64, 128))
    estimate = admit(two).cost_estimate
    assert quote(two).cost == estimate
    evaluations, pixels = 10, 64 * 64
    assert float(plain) == pytest.approx(evaluations * pixels / 1e6 * family_cost(FLUX1_KONTEXT))
    weights_and_tokens = 2 * FLUX1_KONTEXT.parameters * 4096
    of_stable_diffusion = 2 * 339e9 / (512 * 512 / 1e6)
    expected = evaluations * 2 * weights_and_tokens / of_stable_diffusion
    assert float(estimate - plain) == pytest.approx(expected, rel=0.01)


def test_a_reference_of_flux2_costs_as_much_as_the_image(submission, parts):
    file(Kind.CHECKPOINT, "klein", family=Family.FLUX2, without_vae=True)
    klein = {"checkpoint": "klein", **WORDS}
    plain = float(admit(submission(**klein)).cost_estimate)
    share = 3906 / (3906 + 512)  # of the tokens of an evaluation that are those of the image
    assert float(admit(submission(**klein, **sent(64))).cost_estimate) == pytest.approx(
        plain * (1 + share), rel=0.01
    )
    assert float(admit(submission(**klein, **drawn_over(64))).cost_estimate) == pytest.approx(
        plain * (1 + share), rel=0.01
    )
    assert FLUX2.references.most == 4


def test_more_references_than_a_family_takes_are_refused_with_their_number(submission, kontext):
    with pytest.raises(
        Unsupported, match=r"FLUX.1 Kontext, takes at most 4 reference images .*\(got 15\)"
    ) as refused:
        admit(submission(**KONTEXT, **sent(*range(64, 79))))
    assert refused.value.field == "images"
    with pytest.raises(Unsupported, match="dev takes no reference images"):
        admit(submission(**{**KONTEXT, "checkpoint": "dev"}, **sent(64)))


def test_init_images_that_belong_together_are_the_references_of_one_output(submission, kontext):
    images = drawn_over(64, 128)
    request = admit(submission(**KONTEXT, **images, init_images_belong_together=True)).generation_request
    assert (request.task, request.num_images, request.init_images) == ("txt2img", 1, ())
    assert request.images == images["init_images"]
    apart = admit(submission(**KONTEXT, **images)).generation_request
    assert (apart.task, apart.num_images, len(apart.init_images)) == ("img2img", 2, 2)


def test_a_size_that_follows_from_an_image_is_made_one_that_the_family_draws(submission, kontext):
    job = admit(submission(**KONTEXT, **drawn_over(64), width=120, height=72))
    assert (job.generation_request.width, job.generation_request.height) == (112, 64)
    assert "drawn with 112 x 64 pixels" in job.transitions.get().note
    with pytest.raises(Unsupported, match="width must be one of"):
        admit(submission(**KONTEXT, width=120))


def test_an_editing_model_of_qwen_needs_a_text_encoder_that_reads_images(submission, parts):
    edit = file(Kind.CHECKPOINT, "edit", family=Family.QWEN_IMAGE, without_vae=True, variant="edit_plus")
    words = {"checkpoint": "edit", **WORDS}
    blind = file(Kind.TEXT_ENCODER, "gguf", metadata={ENCODER: "qwen2_5_vl_7b"})
    edit.text_encoder_files.set([blind])
    with pytest.raises(Unsupported, match=r"edit needs the text encoder Qwen2\.5-VL-7B with its vision part"):
        admit(submission(**words, **sent(64)))
    file(Kind.TEXT_ENCODER, "vl", metadata={ENCODER: "qwen2_5_vl_7b", VISION: "yes"})
    assert "text_encoder:vl" in admit(submission(**words, **sent(64))).files
    edit.mark_edited(["text_encoder_files"])
    edit.save()
    with pytest.raises(Unsupported, match="edit uses the text encoder gguf, which has no vision part"):
        admit(submission(**words, **sent(64)))


@pytest.mark.parametrize(
    ("family", "told", "name", "metadata", "variant"),
    [
        ("flux1", "dev", "flux1-dev-kontext_fp8_scaled", {}, "kontext"),
        ("flux1", "dev", "night", {"modelspec.architecture": "flux-1-kontext"}, "kontext"),
        ("flux1", "schnell", "kontext", {}, ""),
        ("flux1", "dev", "flux1-krea-dev", {}, ""),
        ("qwen_image", "", "qwen_image_edit_fp8", {}, "edit"),
        ("qwen_image", "", "Qwen-Image-Edit-2509-Q8_0", {}, "edit_plus"),
        ("qwen_image", "", "x", {"general.name": "Qwen Image Edit 2511"}, "edit_2511"),
        ("qwen_image", "edit_2511", "qwen_image_edit", {}, ""),
        ("qwen_image", "", "qwen-image-edition", {}, ""),
        ("sdxl", "", "qwen-image-edit kontext", {}, ""),
    ],
)
def test_names_and_metadata_propose_a_variant_that_tensors_do_not_tell(family, told, name, metadata, variant):
    assert hinted_variant(metadata, family, told, name) == variant


def test_a_row_names_no_variant_of_another_family(kontext):
    kontext.full_clean(exclude=["sha256"])
    kontext.variant = "edit"
    with pytest.raises(ValidationError, match=r"another family than FLUX\.1"):
        kontext.full_clean()
