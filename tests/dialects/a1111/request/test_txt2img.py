"""Conversion of txt2img requests to jobs."""

import pytest

from jobs.models import Job, Lane


def test_empty_body_uses_the_original_defaults(alice) -> None:
    response = alice.post("txt2img", {})
    request = Job.objects.get(pk=response["X-Job-Id"]).generation_request
    assert (request.width, request.height, request.num_inference_steps) == (512, 512, 50)
    assert (request.guidance_scale, request.sampler, request.scheduler) == (7.0, "Euler", "Automatic")
    assert (request.num_images, request.clip_skip, request.eta) == (1, 1, None)
    assert 0 <= request.seed < 2**32


def test_job_is_in_the_interactive_lane(alice) -> None:
    job = alice.submit(prompt="a red circle", force_task_id="task-1")
    assert (job.source, job.key, job.lane) == (alice.key.source, alice.key, Lane.INTERACTIVE)
    assert (job.dialect, job.operation, job.external_id) == ("a1111", "txt2img", "task-1")


def test_values_are_coerced(alice) -> None:
    request = alice.submit(steps="5", width=127.9, height="64", cfg_scale="3", prompt=7).generation_request
    assert (request.num_inference_steps, request.width, request.height) == (5, 120, 64)
    assert (request.guidance_scale, request.prompt) == (3.0, "7")


def test_null_means_the_default(alice) -> None:
    names = [
        "prompt",
        "negative_prompt",
        "steps",
        "cfg_scale",
        "batch_size",
        "n_iter",
        "seed",
        "scheduler",
        "eta",
    ]
    request = alice.submit(**dict.fromkeys(names)).generation_request
    assert (request.prompt, request.num_inference_steps, request.num_images) == ("", 50, 1)


def test_image_count_is_batch_size_times_n_iter(alice) -> None:
    request = alice.submit(batch_size=2, n_iter=3).generation_request
    assert (request.num_images, request.batch_size) == (6, 2)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"sampler_name": "Euler a"}, ("Euler a", "Automatic")),
        ({"sampler_index": "DDIM"}, ("DDIM", "Automatic")),
        ({"sampler_name": "UniPC", "sampler_index": "DDIM"}, ("UniPC", "Automatic")),
        ({"sampler_name": "Euler Karras"}, ("Euler", "Karras")),
        ({"sampler_name": "Euler", "scheduler": "karras"}, ("Euler", "Karras")),
        ({"sampler_name": "DPM++ 2M Karras"}, ("DPM++ 2M", "Automatic")),
        ({"sampler_name": "k_euler_a"}, ("DPM++ 2M", "Automatic")),
        ({"sampler_name": "bogus"}, ("DPM++ 2M", "Automatic")),
    ],
)
def test_sampler_names_are_resolved_as_in_the_original(alice, fields, expected) -> None:
    request = alice.submit(**fields).generation_request
    assert (request.sampler, request.scheduler) == expected


def test_eta_applies_only_to_samplers_that_use_it(alice) -> None:
    assert alice.submit(sampler_name="DDIM", eta=1.0).generation_request.eta == 1.0
    assert alice.submit(sampler_name="UniPC", eta=1.0).generation_request.eta is None


def test_firstphase_size_replaces_the_size(alice) -> None:
    request = alice.submit(firstphase_width=128, firstphase_height=72).generation_request
    assert (request.width, request.height) == (128, 72)


def test_comments_are_removed_from_the_prompt(alice) -> None:
    job = alice.submit(prompt="# a note\na red circle # another\non blue")
    assert job.generation_request.prompt == "\na red circle \non blue"


def test_unknown_fields_are_ignored(alice) -> None:
    alice.submit(foo=1, bar={"x": []})


@pytest.mark.parametrize(
    ("body", "field", "kind"),
    [
        ({"steps": 0}, "steps", "value_error.number.not_ge"),
        ({"steps": 501}, "steps", "value_error.number.not_le"),
        ({"width": 8}, "width", "value_error.number.not_ge"),
        ({"height": 99999}, "height", "value_error.number.not_le"),
        ({"cfg_scale": -1}, "cfg_scale", "value_error.number.not_ge"),
        ({"batch_size": 0}, "batch_size", "value_error.number.not_ge"),
        ({"n_iter": -1}, "n_iter", "value_error.number.not_ge"),
        ({"batch_size": 999}, "batch_size", "value_error.number.not_le"),
        ({"seed": 2**64}, "seed", "value_error.number.not_le"),
        ({"seed": -(2**63) - 1}, "seed", "value_error.number.not_ge"),
        ({"prompt": "x" * 32_001}, "prompt", "value_error.any_str.max_length"),
        ({"force_task_id": "x" * 201}, "force_task_id", "value_error.any_str.max_length"),
    ],
)
def test_values_out_of_range_are_rejected_at_their_field(alice, body, field, kind) -> None:
    response = alice.post("txt2img", body)
    assert response.status_code == 422
    entry = response.json()["detail"][0]
    assert (entry["loc"], entry["type"]) == (["body", field], kind)
    assert entry["ctx"]["limit_value"] is not None


@pytest.mark.parametrize(
    ("limit", "body", "field", "name", "value"),
    [
        ("max_steps", {"steps": 11}, "steps", "steps", "11"),
        ("max_images", {"batch_size": 11}, "batch_size", "batch_size × n_iter", "11"),
        ("max_images", {"batch_size": 3, "n_iter": 4}, "batch_size", "batch_size × n_iter", "12"),
    ],
)
def test_limits_of_the_source_are_rejected_at_their_field(alice, limit, body, field, name, value) -> None:
    setattr(alice.key.source, limit, 10)
    alice.key.source.save()
    entry = alice.post("txt2img", {"width": 64, "height": 64, **body}).json()["detail"][0]
    assert entry["loc"] == ["body", field]
    assert (entry["msg"].startswith(f"{name} "), value in entry["msg"]) == (True, True)


def test_request_without_any_checkpoint_is_a_runtime_error(alice, checkpoint) -> None:
    checkpoint.delete()
    response = alice.post("txt2img", {})
    assert (response.status_code, response.json()["error"]) == (500, "RuntimeError")
    assert response.json()["errors"] == "model '' not found"
