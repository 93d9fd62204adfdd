"""What a request becomes."""

import pytest

from jobs.models import Job, Lane


def test_an_empty_object_is_a_request_with_the_original_defaults(alice) -> None:
    response = alice.post("txt2img", {})
    request = Job.objects.get(pk=response["X-Job-Id"]).generation_request
    assert (request.width, request.height, request.num_inference_steps) == (512, 512, 50)
    assert (request.guidance_scale, request.sampler, request.scheduler) == (7.0, "Euler", "Automatic")
    assert (request.num_images, request.clip_skip, request.eta) == (1, 1, None)
    assert 0 <= request.seed < 2**32


def test_it_reaches_the_queue_as_somebody_waiting(alice) -> None:
    job = alice.submit(prompt="a red circle", force_task_id="task-1")
    assert (job.source, job.key, job.lane) == (alice.key.source, alice.key, Lane.INTERACTIVE)
    assert (job.dialect, job.operation, job.external_id) == ("a1111", "txt2img", "task-1")


def test_values_are_read_laxly(alice) -> None:
    request = alice.submit(steps="5", width=127.9, height="64", cfg_scale="3", prompt=7).generation_request
    assert (request.num_inference_steps, request.width, request.height) == (5, 120, 64)
    assert (request.guidance_scale, request.prompt) == (3.0, "7")


def test_null_is_the_default_nearly_everywhere(alice) -> None:
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


def test_batches_times_their_size_are_the_pictures(alice) -> None:
    request = alice.submit(batch_size=2, n_iter=3).generation_request
    assert (request.num_images, request.batch_size) == (6, 2)


@pytest.mark.parametrize(
    ("asked", "drawn"),
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
def test_names_of_samplers_are_resolved_as_the_original_does(alice, asked, drawn) -> None:
    request = alice.submit(**asked).generation_request
    assert (request.sampler, request.scheduler) == drawn


def test_eta_goes_to_the_samplers_that_know_it(alice) -> None:
    assert alice.submit(sampler_name="DDIM", eta=1.0).generation_request.eta == 1.0
    assert alice.submit(sampler_name="UniPC", eta=1.0).generation_request.eta is None


def test_the_old_names_of_the_size_replace_it(alice) -> None:
    request = alice.submit(firstphase_width=128, firstphase_height=72).generation_request
    assert (request.width, request.height) == (128, 72)


def test_comments_in_the_prompt_are_left_out(alice) -> None:
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
        ({"seed": 2**40}, "seed", "value_error.number.not_le"),
        ({"seed": -5}, "seed", "value_error.number.not_ge"),
        ({"prompt": "x" * 20_001}, "prompt", "value_error.any_str.max_length"),
        ({"force_task_id": "x" * 201}, "force_task_id", "value_error.any_str.max_length"),
    ],
)
def test_what_cannot_be_drawn_is_422_with_its_field(alice, body, field, kind) -> None:
    response = alice.post("txt2img", body)
    assert response.status_code == 422
    entry = response.json()["detail"][0]
    assert (entry["loc"], entry["type"]) == (["body", field], kind)
    assert entry["ctx"]["limit_value"] is not None


@pytest.mark.parametrize(
    ("limit", "body", "field", "told"),
    [
        ("max_steps", {"steps": 11}, "steps", "steps is 11"),
        ("max_images", {"batch_size": 11}, "batch_size", "batch_size × n_iter is 11"),
        ("max_images", {"batch_size": 3, "n_iter": 4}, "batch_size", "batch_size × n_iter is 12"),
    ],
)
def test_the_limits_of_the_source_are_422_with_their_field(alice, limit, body, field, told) -> None:
    setattr(alice.key.source, limit, 10)
    alice.key.source.save()
    entry = alice.post("txt2img", {"width": 64, "height": 64, **body}).json()["detail"][0]
    assert entry["loc"] == ["body", field]
    assert entry["msg"].startswith(told)


def test_without_any_checkpoint_the_model_is_not_found(alice, checkpoint) -> None:
    checkpoint.delete()
    response = alice.post("txt2img", {})
    assert (response.status_code, response.json()["error"]) == (500, "RuntimeError")
    assert response.json()["errors"] == "model '' not found"
