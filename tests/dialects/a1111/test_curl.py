import json
import os
import subprocess
from typing import Any

import pytest

from jobs.admission.admit import admit
from jobs.models import Job
from tests.support.job_curl import Curl, commands

pytestmark = pytest.mark.slow


def curl(job: Job) -> Curl:
    return commands(job, "http://here")[0]


def sent_body(command: str, tmp_path) -> bytes:
    """Body that the command sends: bash runs it with a fake curl that prints its standard input."""
    (tmp_path / "curl").write_text("#!/bin/sh\ncat\n")
    (tmp_path / "curl").chmod(0o755)
    environment = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "KEY_ID": "id",
        "SECRET": "secret",
    }
    return subprocess.run(["bash", "-c", command], env=environment, capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "a red circle", "seed": 7},
        {"prompt": 'it\'s "$HOME" `id` \\ $(id) 水墨\nEND\n', "seed": 7, "negative_prompt": "blurry"},
        {"seed": 1, "batch_size": 2, "n_iter": 3, "cfg_scale": 4.5, "steps": 11, "sampler_name": "DPM++ 2M"},
        {"seed": 1, "enable_hr": True, "hr_scale": 2, "denoising_strength": 0.5, "hr_second_pass_steps": 3},
        {
            "seed": 1,
            "subseed": 4,
            "subseed_strength": 0.3,
            "seed_resize_from_w": 128,
            "seed_resize_from_h": 64,
        },
        {"seed": 1, "sampler_name": "Euler a", "eta": 0.7, "s_noise": 1.1, "scheduler": "Karras"},
        {"seed": 1, "restore_faces": True, "override_settings": {"face_restoration_model": "GFPGANv1.4"}},
        {"seed": 1, "override_settings": {"CLIP_stop_at_last_layers": 2, "emphasis": "No norm"}},
    ],
)
def test_command_sends_an_equal_request(alice, face_models, tmp_path, fields: dict[str, Any]):
    job = alice.submit(subseed=fields.pop("subseed", 0), **fields)
    assert curl(job).path == "/sdapi/v1/txt2img"
    again = alice.post("txt2img", sent_body(curl(job).command, tmp_path).decode())
    assert Job.objects.get(pk=again["X-Job-Id"]).request == job.request


def test_command_names_its_input_images_by_url(alice, red):
    job = alice.submit("img2img", init_images=[red], seed=1, denoising_strength=0.4)
    assert '"http://here/inputs/' in curl(job).command


def test_prompt_is_quoted_for_the_shell(alice, tmp_path):
    job = alice.submit(prompt="$(touch broken) `touch broken` ${SECRET}", seed=1)
    body = sent_body(curl(job).command, tmp_path).decode()
    assert "$(touch broken) `touch broken` ${SECRET}" in body


def test_command_uses_the_seed_of_the_job_and_not_its_id(alice, tmp_path):
    job = alice.submit(force_task_id="task-7")
    body = json.loads(sent_body(curl(job).command, tmp_path))
    assert body["seed"] == job.generation_request.seed
    assert "force_task_id" not in body


def test_infotext_is_sent_as_its_merged_parameters(alice, tmp_path):
    text = "a red circle\nSteps: 9, Sampler: Euler a, CFG scale: 3, Seed: 5, Size: 64x64, Clip skip: 2"
    job = alice.submit(infotext=text)
    again = alice.post("txt2img", sent_body(curl(job).command, tmp_path).decode())
    assert Job.objects.get(pk=again["X-Job-Id"]).request == job.request


@pytest.mark.parametrize("name", ["extra-single-image", "extra-batch-images"])
def test_extras_command_has_its_images(alice, red, name):
    images = (
        {"image": red} if name == "extra-single-image" else {"imageList": [{"data": red, "name": "a.png"}]}
    )
    job = alice.submit(name, upscaling_resize=3, **images)
    assert curl(job).path == f"/sdapi/v1/{name}"
    assert '"upscaling_resize": 3' in curl(job).command
    assert '"http://here/inputs/' in curl(job).command


def test_job_whose_image_was_not_stored_has_no_command(submission):
    received = {
        "parameters": {"alwayson_scripts": {"controlnet": {"args": [{"image": f"sha256:{'0' * 64}"}]}}}
    }
    job = admit(submission(received=received))
    assert curl(job).reason == "one of its input images was not stored as received"
