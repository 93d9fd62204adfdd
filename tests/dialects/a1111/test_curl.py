import os
import re
import subprocess
from typing import Any

import pytest

from gpu_runner.protocol import GenerationRequest
from jobs import curl_export
from jobs.curl_export import Said
from jobs.models import Job


def said(job: Job) -> Said:
    return next(said for said in curl_export.in_every_dialect(job, "http://here") if said.dialect == "a1111")


def pasted(command: str, tmp_path) -> bytes:
    """The body that the command would send: bash runs it, with a curl that only shows what it was given."""
    (tmp_path / "curl").write_text("#!/bin/sh\ncat\n")
    (tmp_path / "curl").chmod(0o755)
    environment = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "KEY_ID": "id",
        "SECRET": "secret",
    }
    return subprocess.run(["bash", "-c", command], env=environment, capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    "asked",
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
def test_the_command_asks_for_an_equal_request(alice, face_models, tmp_path, asked: dict[str, Any]):
    job = alice.submit(subseed=asked.pop("subseed", 0), **asked)
    command = said(job).command
    assert command.startswith("curl -sS http://here/sdapi/v1/txt2img")
    again = alice.post("txt2img", pasted(command, tmp_path).decode())
    assert Job.objects.get(pk=again["X-Job-Id"]).request == job.request


def test_an_input_picture_is_fetched_by_the_command_itself(alice, red):
    job = alice.submit("img2img", init_images=[red], seed=1, denoising_strength=0.4)
    assert re.search(r"\$\(curl -sS 'http://here/inputs/[^']+' \| base64 \| tr -d '\\n'\)", said(job).command)


def test_no_client_writes_what_the_shell_runs(alice, tmp_path):
    job = alice.submit(prompt="$(touch broken) `touch broken` ${SECRET}", seed=1)
    shown = pasted(said(job).command, tmp_path).decode()
    assert "$(touch broken) `touch broken` ${SECRET}" in shown


def test_what_it_has_no_words_for_is_named(submission):
    from jobs.admission.admit import admit

    job = admit(submission(labels=[{"text": "AI"}], dialect="native"))
    assert said(job) == Said("a1111", reason="has no words for: labels")


def test_a_task_that_it_does_not_have_is_named():
    from jobs.curl_export import CannotSay, refuse_all_but

    request = GenerationRequest(task="cut_out", cut_out={}, init_images=[{"sha256": "0" * 64}])
    with pytest.raises(CannotSay, match="cut_out"):
        refuse_all_but(request, tasks=("txt2img",))
