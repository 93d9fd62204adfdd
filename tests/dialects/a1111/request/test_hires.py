import pytest

from jobs.images.infotext.build import infotext
from jobs.models import Job
from models_registry.models import Family, Kind, ModelFile

pytestmark = pytest.mark.slow

HR = {"enable_hr": True, "denoising_strength": 0.6}


@pytest.fixture
def upscaler(db) -> ModelFile:
    return ModelFile.objects.create(
        kind=Kind.UPSCALER, name="4x-sharp", path="upscalers/4x-sharp.pth", sha256="cd" * 32
    )


@pytest.fixture
def second(db) -> ModelFile:
    fields = {"name": "second", "path": "checkpoints/second.safetensors", "sha256": "ab" * 32}
    return ModelFile.objects.create(kind=Kind.CHECKPOINT, family=Family.SD15, **fields)


def hires_of(alice, **fields):
    return alice.submit(**(HR | fields)).generation_request.hires


def test_defaults_are_those_of_the_original(alice) -> None:
    hires = hires_of(alice, width=128, height=64)
    assert (hires.width, hires.height, hires.scale, hires.upscaler) == (256, 128, 2.0, "Latent")
    assert (hires.num_inference_steps, hires.strength, hires.sampler, hires.prompt) == (0, 0.6, "", "")


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"hr_scale": 1.5}, (192, 96)),
        ({"hr_resize_x": 256}, (256, 128)),
        ({"hr_resize_y": 96}, (192, 96)),
        ({"hr_resize_x": 200, "hr_resize_y": 200}, (200, 200)),
        ({"hr_resize_x": 190, "hr_resize_y": 95}, (184, 88)),
        ({"hr_resize_x": 100, "hr_resize_y": 95}, (96, 88)),
        ({"hr_resize_x": 100, "hr_resize_y": 95, "width": 64}, (96, 96)),
        ({"hr_resize_x": 300, "hr_resize_y": 100, "width": 64}, (296, 96)),
        ({"hr_scale": 1.3}, (160, 80)),
    ],
)
def test_hires_size_is_given_by_a_factor_or_by_sides(alice, fields, size) -> None:
    """A side that is no multiple of 8 is rounded by cutting latent pixels off the covering size, as in the original."""
    hires = hires_of(alice, **{"width": 128, "height": 64} | fields)
    assert (hires.width, hires.height) == size


def test_hires_pass_has_its_own_prompts_sampler_and_models(alice, upscaler, second) -> None:
    hires = hires_of(
        alice, hr_upscaler="4x-sharp", hr_checkpoint_name="second", hr_sampler_name="Euler a", hr_prompt="a dog",
        hr_negative_prompt="a cat", hr_second_pass_steps=7,
    )  # fmt: skip
    assert (hires.upscaler, hires.checkpoint, hires.sampler) == ("4x-sharp", "second", "Euler a")
    assert (hires.prompt, hires.negative_prompt, hires.num_inference_steps) == ("a dog", "a cat", 7)


def test_infotext_describes_the_hires_pass(alice) -> None:
    job = alice.submit(**HR, hr_second_pass_steps=7, hr_upscaler="Lanczos", hr_prompt="a dog")
    text = infotext(job, job.generation_request, 1)
    assert "Hires prompt: a dog, Hires upscale: 2.0, Hires steps: 7, Hires upscaler: Lanczos" in text
    assert "Denoising strength: 0.6" in text


def test_steps_and_cost_include_both_passes(alice) -> None:
    plain = alice.submit(steps=10)
    hires = alice.submit(**HR, steps=10, hr_second_pass_steps=5)
    assert (plain.steps, hires.steps) == (10, 15)
    assert hires.cost_estimate == plain.cost_estimate * 3  # half the steps, four times the area


def test_hires_without_denoising_strength_is_a_type_error(alice) -> None:
    response = alice.post("txt2img", {"enable_hr": True})
    assert (response.status_code, response.json()["error"]) == (500, "TypeError")


@pytest.mark.parametrize(
    ("field", "errors"),
    [
        ("hr_upscaler", "could not find upscaler named X"),
        ("hr_checkpoint_name", "Could not find checkpoint with name X"),
    ],
)
def test_unknown_hires_model_is_500_with_its_name(alice, field, errors) -> None:
    response = alice.post("txt2img", HR | {field: "X"})
    assert (response.status_code, response.json()["error"]) == (500, "Exception")
    assert response.json()["errors"] == errors


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"hr_scale": 100}, "hr_resize_x"),
        ({"hr_scale": -1}, "hr_resize_x"),
        ({"hr_resize_x": 8, "hr_resize_y": 64}, "hr_resize_x"),
        ({"hr_second_pass_steps": 9999}, "hr_second_pass_steps"),
        ({"denoising_strength": 2}, "denoising_strength"),
    ],
)
def test_invalid_value_is_rejected_at_its_field(alice, fields, place) -> None:
    response = alice.post("txt2img", HR | fields)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", place]


def test_size_limit_of_the_source_applies_to_the_hires_pass(alice, source) -> None:
    source.max_width = 512
    source.save()
    response = alice.post("txt2img", HR | {"width": 512, "height": 64})
    assert response.json()["detail"][0]["loc"] == ["body", "hr_resize_x"]


def test_upscalers_are_listed_with_none_first(alice, upscaler) -> None:
    names = [row["name"] for row in alice.get("upscalers").json()]
    assert names == ["None", "Lanczos", "Nearest", "4x-sharp"]
    assert [mode["name"] for mode in alice.get("latent-upscale-modes").json()][:2] == [
        "Latent",
        "Latent (antialiased)",
    ]


def test_progress_counts_each_pass_of_a_batch_as_a_job(alice, claim) -> None:
    job = alice.submit(**HR, steps=10, n_iter=2)
    claim(job)
    for step, number in ((3, 0), (10, 0), (11, 1), (20, 1)):
        Job.objects.filter(pk=job.pk).update(batch_step=step)
        state = alice.get("progress").json()["state"]
        assert (state["job_count"], state["job_no"]) == (4, number)


@pytest.mark.parametrize(
    ("fields", "etas"),
    [
        ({"sampler_name": "DDIM"}, (0.0, 1.0)),
        ({"sampler_name": "DDIM", "eta": 0.3}, (0.3, 0.3)),
        ({"sampler_name": "DDIM", "override_settings": {"eta_ancestral": 0.5}}, (0.0, 0.5)),
        ({"sampler_name": "Euler"}, (None, 1.0)),
    ],
)
def test_hires_pass_has_the_eta_of_its_own_sampler(alice, fields, etas) -> None:
    request = alice.submit(**HR, hr_sampler_name="Euler a", **fields).generation_request
    assert (request.eta, request.hires.eta) == etas
