"""The request field ``infotext`` sets the parameters that the client has not set."""

import pytest

from models_registry.models import Family, Kind, ModelFile

pytestmark = pytest.mark.slow

TEXT = (
    "a cat\nNegative prompt: a dog\n"
    "Steps: 7, Sampler: Euler a, Schedule type: Karras, CFG scale: 3.5, Seed: 99, Size: 128x64, "
    "Variation seed: 5, Variation seed strength: 0.25, Clip skip: 2, ENSD: 31337, Version: v1.10.1"
)


def request_of(alice, name: str = "txt2img", **body):
    return alice.submit(name, width=128, height=64, **body).generation_request


def test_infotext_values_become_parameters(alice) -> None:
    response = alice.post("txt2img", {"infotext": TEXT})
    from jobs.models import Job

    request = Job.objects.get(pk=response["X-Job-Id"]).generation_request
    assert (request.prompt, request.negative_prompt) == ("a cat", "a dog")
    assert (request.num_inference_steps, request.guidance_scale, request.seed) == (7, 3.5, 99)
    assert (request.sampler, request.scheduler) == ("Euler a", "Karras")
    assert (request.width, request.height) == (128, 64)
    assert (request.subseed, request.subseed_strength) == (5, 0.25)
    assert (request.clip_skip, request.eta_noise_seed_delta) == (2, 31337)


def test_explicit_parameters_take_precedence(alice) -> None:
    overrides = {"CLIP_stop_at_last_layers": 3}
    request = request_of(alice, infotext=TEXT, seed=1, sampler_index="DDIM", override_settings=overrides)
    assert (request.seed, request.sampler, request.clip_skip, request.prompt) == (1, "DDIM", 3, "a cat")


def test_echoed_parameters_contain_the_infotext_values(alice, complete) -> None:
    job = alice.submit(infotext=TEXT)
    complete(job)
    echoed = alice.result(job)["parameters"]
    assert (echoed["prompt"], echoed["steps"], echoed["infotext"]) == ("a cat", 7, TEXT)
    assert echoed["override_settings"] == {"CLIP_stop_at_last_layers": 2, "eta_noise_seed_delta": 31337} or (
        {str(value) for value in echoed["override_settings"].values()} == {"2", "31337"}
    )


def test_older_infotexts_append_the_schedule_to_the_sampler(alice) -> None:
    request = request_of(alice, infotext="x\nSteps: 5, Sampler: Euler Karras, Seed: 1")
    assert (request.sampler, request.scheduler) == ("Euler", "Karras")


def test_infotext_restores_hires_parameters(alice) -> None:
    text = "x\nSteps: 5, Sampler: Euler, Seed: 1, Denoising strength: 0.4, Hires upscale: 2, Hires upscaler: Lanczos"
    hires = request_of(alice, infotext=text).hires
    assert (hires.width, hires.height, hires.upscaler, hires.strength) == (256, 128, "Lanczos", 0.4)


def test_infotext_restores_inpainting_parameters(alice, red) -> None:
    text = (
        "x\nSteps: 5, Sampler: Euler, Seed: 1, Denoising strength: 0.4, Mask mode: Inpaint not masked, "
        "Mask blur: 6, Inpaint area: Only masked, Masked area padding: 16, Masked content: latent noise"
    )
    request = request_of(alice, "img2img", init_images=[red], mask=red, infotext=text)
    inpaint = request.inpaint
    assert (inpaint.invert, inpaint.blur_x, inpaint.only_masked, inpaint.padding, inpaint.content) == (
        True, 6, True, 16, "noise",
    )  # fmt: skip
    assert request.strength == 0.4


def test_infotext_changes_the_checkpoint_only_if_the_option_allows_it(alice) -> None:
    fields = {"name": "second", "path": "checkpoints/second.safetensors", "sha256": "ab" * 32}
    ModelFile.objects.create(kind=Kind.CHECKPOINT, family=Family.SD15, **fields)
    text = "x\nSteps: 5, Sampler: Euler, Seed: 1, Model hash: ababababab"
    assert request_of(alice, infotext=text).checkpoint == "shapes"
    alice.post("options", {"disable_weights_auto_swap": False})
    assert request_of(alice, infotext=text).checkpoint == "second"


def test_infotext_with_face_restoration_requires_its_models(alice) -> None:
    response = alice.post("txt2img", {"infotext": "x\nSteps: 5, Sampler: Euler, Face restoration: GFPGAN"})
    assert response.json()["detail"][0]["loc"] == ["body", "restore_faces"]


def test_unsupported_infotext_parameter_is_a_warning(alice, complete, info) -> None:
    job = alice.submit(infotext='x\nSteps: 5, Sampler: Euler, Seed: 1, ControlNet 0: "Module: canny"')
    complete(job)
    assert info(alice.result(job))["warnings"] == [
        "infotext parameter ControlNet 0 is not supported and was ignored"
    ]


@pytest.mark.parametrize("text", ["Steps: x, Seed: 1, Sampler: Euler", "a\nSteps: 5, Seed: 1, CFG scale: ,"])
def test_invalid_infotext_value_is_rejected_at_its_field(alice, text) -> None:
    response = alice.post("txt2img", {"infotext": text})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"][1] in ("steps", "cfg_scale")


def test_infotext_that_is_not_a_string_is_rejected(alice) -> None:
    assert alice.post("txt2img", {"infotext": []}).json()["detail"][0]["loc"] == ["body", "infotext"]


def round_trip(alice, name: str, kept: tuple[str, ...], **body):
    """A request, and the request that its own infotext produces."""
    from jobs.images.infotext.build import infotext

    job = alice.submit(name, **body)
    text = infotext(job, job.generation_request, 0)
    again = alice.submit(name, infotext=text, **{field: body[field] for field in kept})
    return job.generation_request, again.generation_request


@pytest.mark.parametrize(
    "blur", [{"mask_blur": 0}, {"mask_blur": 7}, {"mask_blur_x": 2, "mask_blur_y": 9}, {"mask_blur_y": 0}]
)
def test_own_infotext_round_trips_mask_blur(alice, red, blur) -> None:
    body = {"init_images": [red], "mask": red, "seed": 1, "prompt": "x", **blur}
    first, again = round_trip(alice, "img2img", ("init_images", "mask"), **body)
    assert (again.inpaint.blur_x, again.inpaint.blur_y) == (first.inpaint.blur_x, first.inpaint.blur_y)


def test_explicit_mask_blur_replaces_both_infotext_values(alice, red) -> None:
    text = "x\nSteps: 5, Sampler: Euler, Seed: 1, Mask blur x: 2, Mask blur y: 9"
    request = request_of(alice, "img2img", init_images=[red], mask=red, infotext=text, mask_blur=3)
    assert (request.inpaint.blur_x, request.inpaint.blur_y) == (3, 3)


@pytest.mark.parametrize(
    ("samplers", "schedulers"),
    [
        (("DPM++ 2M", "Euler a"), (None, None)),
        (("DPM++ 2M", "DPM++ SDE"), (None, None)),
        (("Euler a", "DPM++ 2M"), (None, None)),
        (("Euler", None), ("karras", "automatic")),
        (("DPM++ 2M SDE", "LMS"), ("automatic", "karras")),
    ],
)
def test_own_infotext_round_trips_the_sampling_of_both_passes(alice, samplers, schedulers) -> None:
    from gpu_runner.protocol.catalogs import samplers as sampler_catalog

    first, again = round_trip(
        alice, "txt2img", (), seed=1, prompt="x", enable_hr=True, denoising_strength=0.5, hr_scale=1.5,
        width=128, height=128,
        sampler_name=samplers[0], hr_sampler_name=samplers[1],
        scheduler=schedulers[0], hr_scheduler=schedulers[1],
    )  # fmt: skip

    def sampling_of(request) -> list[tuple[str, str]]:
        second = request.hires
        sampler, scheduler = second.sampler or request.sampler, second.scheduler or request.scheduler
        passes = [(request.sampler, request.scheduler), (sampler, scheduler)]
        return [(name, sampler_catalog.effective_scheduler(name, label)) for name, label in passes]

    assert sampling_of(again) == sampling_of(first)
