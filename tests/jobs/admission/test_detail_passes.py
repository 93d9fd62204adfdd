"""Admission of requests with detail passes: models, limits, tags, and the price."""

from decimal import Decimal

import pytest

from access.models import BusinessSource
from gpu_runner.protocol import Done, GenerationRequest
from gpu_runner.protocol.request_parts.details import DetailPass
from jobs.admission.admit import admit
from jobs.admission.model_choice.lora_tags import with_tagged_loras
from jobs.billing import cost, settlement
from jobs.errors import OverLimit, UnknownModel, Unsupported
from jobs.models import Job
from models_registry.models import Family, Kind, ModelFile


def detailed(**fields):
    return {"detail_passes": (DetailPass(**fields),)}


def test_the_default_face_detector_is_written_into_the_job(submission, face_models):
    job = admit(submission(**detailed()))
    [part] = job.generation_request.detail_passes
    assert (part.detector, job.files["face_detector:yunet"]["sha256"]) == ("yunet", "d" * 64)


def test_without_a_face_detector_the_file_is_named(submission):
    with pytest.raises(UnknownModel, match=r"yunet_n_640_640\.onnx"):
        admit(submission(**detailed()))
    assert not Job.objects.exists()


def test_every_model_of_a_detail_pass_is_resolved(submission, face_models):
    for kind, name in (
        (Kind.CHECKPOINT, "other"),
        (Kind.VAE, "soft"),
        (Kind.LORA, "night"),
        (Kind.CONTROLNET, "canny"),
        (Kind.DETECTOR, "hands"),
    ):
        ModelFile.objects.create(kind=kind, name=name, path=f"{kind}/{name}.x", family=Family.SD15)
    job = admit(
        submission(
            **detailed(
                detector_kind="detector",
                detector="hands",
                checkpoint="other",
                vae="soft",
                regions=({"prompt": "x", "loras": ({"name": "night"},)},),
                controls=({"model": "canny", "module": "canny"},),
                face_restoration={},
            )
        )
    )
    assert set(job.files) == {
        "checkpoint:other",
        "controlnet:canny",
        "detector:hands",
        "face_detector:yunet",
        "face_restorer:GFPGANv1.4",
        "lora:night",
        "vae:soft",
    }


def test_a_checkpoint_of_another_family_is_refused_by_name(submission, face_models):
    ModelFile.objects.create(kind=Kind.CHECKPOINT, name="xl", path="checkpoints/xl.x", family=Family.SDXL)
    with pytest.raises(Unsupported, match="xl is for Stable Diffusion XL, and shapes is not"):
        admit(submission(**detailed(checkpoint="xl")))


@pytest.mark.parametrize(
    ("limit", "fields"),
    [
        ("max_width", {"width": 512}),
        ("max_height", {"height": 512}),
        ("max_steps", {"num_inference_steps": 300}),
    ],
)
def test_limits_of_the_source_apply_to_detail_passes(submission, source, face_models, limit, fields):
    BusinessSource.objects.filter(pk=source.pk).update(**{limit: 256})
    source.refresh_from_db()
    with pytest.raises(OverLimit) as refused:
        admit(submission(source=source, **detailed(**fields)))
    assert refused.value.field == f"detail_passes.0.{next(iter(fields))}"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sampler": "Bogus"}, "Unknown sampler: Bogus"),
        ({"scheduler": "Bogus"}, "Unknown scheduler: Bogus"),
        ({"face_restoration": {"model": "CodeFormer"}}, "commercial use"),
        ({"controls": ({"module": "openpose_bogus"},)}, "Unknown preprocessor: openpose_bogus"),
    ],
)
def test_what_the_engine_cannot_do_is_refused(submission, face_models, fields, message):
    with pytest.raises(Unsupported, match=message):
        admit(submission(**detailed(**fields)))


def test_lora_tags_of_region_prompts_are_used_or_refused(submission, source, face_models):
    ModelFile.objects.create(kind=Kind.LORA, name="night", path="loras/night.x", family=Family.SD15)
    request = submission(**detailed(regions=({"prompt": "a <lora:night:0.5>"}, {"prompt": "b"}))).request
    [part] = with_tagged_loras(request, source).detail_passes
    assert [region.loras and region.loras[0].unet for region in part.regions] == [0.5, None]
    unknown = submission(**detailed(regions=({"prompt": "a <lora:bogus:1>"},))).request
    with pytest.raises(Unsupported, match="<lora:bogus>") as refused:
        with_tagged_loras(unknown, source)
    assert refused.value.field == "detail_passes.0.regions"


def test_the_price_is_that_of_the_regions_that_were_inpainted(submission, face_models):
    """Passes of other sizes are priced by their pixels, so that a job without faces costs what it costs without them."""
    plain = submission(width=512, height=512).request
    request = submission(
        width=512, height=512, **detailed(width=1024, height=1024, max_regions=4, strength=0.5)
    ).request
    reserved = cost.estimate(request, 1)
    assert reserved > cost.estimate(plain, 1) * 5
    job = Job(cost_estimate=reserved, request=request.model_dump(mode="json"))
    done = Done(engine_seconds=1, device_seconds=1, steps_run=20, pixel_steps=20 * 512 * 512)
    assert settlement.price(job, done) == cost.estimate(plain, 1)
    one_region = done.model_copy(update={"pixel_steps": 20 * 512 * 512 + 11 * 1024 * 1024})
    assert settlement.price(job, one_region) == Decimal("16.777216")
    too_many = done.model_copy(update={"pixel_steps": 10**12})
    assert settlement.price(job, too_many) == reserved


def test_a_runner_that_does_not_count_pixels_is_settled_by_steps():
    request = GenerationRequest(num_inference_steps=20)
    assert cost.settled(Decimal(8), request, 5) == 2
