"""What the dialects say of a job, sent back to them: it becomes an equal request, or they had no words for it."""

import json
import os
import re
import subprocess

import pytest
from django.test import Client

from access.models import AccessKey
from gpu_runner.protocol.generation_request import ChangeBackground, CutOut
from jobs import curl_export
from jobs.admission.admit import admit
from jobs.curl_export import Said
from jobs.images.storage import store_input
from jobs.models import Job
from models_registry.models import StylePreset
from tests.support.fake_runner import png

BASE = "http://testserver"


@pytest.fixture(autouse=True)
def no_waiting(settings) -> None:
    settings.JOB_WAIT_S = settings.STABLEDIFFUSIONAPI_WAIT_S = 0


@pytest.fixture
def credentials(source) -> tuple[str, str]:
    key, secret = AccessKey.issue(source)
    return key.key_id, secret


def said(job: Job, dialect: str) -> Said:
    return next(said for said in curl_export.in_every_dialect(job, BASE) if said.dialect == dialect)


def body(job: Job, dialect: str) -> dict:
    command = said(job, dialect).command
    assert command, said(job, dialect)
    return json.loads(re.search(r"<<END\n(.*)\nEND", command, re.DOTALL)[1])


def address(job: Job, dialect: str) -> str:
    return re.search(rf"{BASE}(/\S+)", said(job, dialect).command)[1].rstrip("'")


def headers(dialect: str, credentials: tuple[str, str]) -> dict[str, str]:
    if dialect == "zhiqite":
        from dialects.zhiqite.authentication import KEY_ID, SECRET

        return dict(zip((KEY_ID, SECRET), credentials, strict=True))
    return {"Authorization": f"Bearer {':'.join(credentials)}"}


def asked_again(job: Job, dialect: str, credentials: tuple[str, str]) -> dict:
    before = set(Job.objects.values_list("pk", flat=True))
    response = Client().post(
        address(job, dialect),
        body(job, dialect),
        content_type="application/json",
        headers=headers(dialect, credentials),
    )
    assert response.status_code == 200, response.content
    assert Job.objects.count() > len(before), response.content.decode()
    return Job.objects.exclude(pk__in=before).get().request


PLAIN = {"width": 128, "height": 128, "prompt": "a red circle", "checkpoint": "shapes", "seed": 7}


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"sampler": "Euler", "scheduler": "Karras", "num_inference_steps": 12, "guidance_scale": 4.5},
        {"num_images": 2, "batch_size": 2, "clip_skip": 2, "tiling": True, "negative_prompt": "blurry"},
    ],
)
@pytest.mark.parametrize("dialect", ["zhiqite", "stablediffusionapi"])
def test_the_command_asks_for_an_equal_request(submission, credentials, dialect, asked):
    job = admit(submission(**(PLAIN | {"preview_every": 5 if dialect == "zhiqite" else 10} | asked)))
    assert asked_again(job, dialect, credentials) == job.request


@pytest.mark.parametrize("dialect", ["stablediffusionapi", "zhiqite"])
def test_a_second_seed_without_a_strength_needs_no_words(submission, dialect):
    job = admit(submission(**PLAIN | {"num_inference_steps": 21, "subseed": 5}))
    assert "subseed" not in body(job, dialect)
    stronger = admit(submission(**PLAIN | {"num_inference_steps": 21, "subseed": 5, "subseed_strength": 0.5}))
    assert "subseed" in said(stronger, dialect).reason


def test_zhiqite_says_a_second_pass(submission, credentials):
    hires = {"width": 256, "height": 256, "scale": 2.0, "num_inference_steps": 3, "strength": 0.4}
    job = admit(submission(**PLAIN, preview_every=5, hires=hires))
    assert asked_again(job, "zhiqite", credentials) == job.request


@pytest.mark.parametrize(
    ("dialect", "asked", "reason"),
    [
        ("stablediffusionapi", {"width": 1536}, "width"),
        ("stablediffusionapi", {"num_images": 5, "batch_size": 5}, "num_images"),
        ("stablediffusionapi", {"output_format": "webp"}, "output_format"),
        ("zhiqite", {"output_format": "webp"}, "output_format"),
        ("zhiqite", {"num_images": 3, "batch_size": 2}, "num_images"),
    ],
)
def test_what_a_dialect_has_no_words_for_it_names(submission, dialect, asked, reason):
    job = admit(submission(**(PLAIN | asked)))
    assert said(job, dialect) == Said(dialect, reason=f"has no words for: {reason}")


def test_smzdm_says_a_new_background(submission, db):
    picture = store_input(png())
    drawn = admit(
        submission(
            task="change_background",
            init_images=(picture,),
            change_background=ChangeBackground(
                mask=picture, mask_expansion=3, output_width=64, output_height=64
            ),
            resize_mode="fill",
            sampler="DPM++ 2M",
            scheduler="Karras",
            strength=1.0,
            prompt="a beach",
            seed=9,
        )
    )
    told = body(drawn, "smzdm")
    assert (told["from"], told["prompt"], told["seed"], told["mast_expend_num"]) == ("shop", "a beach", 9, 3)
    assert Client().get(told["img_url"].removeprefix(BASE)).status_code == 200


def test_smzdm_has_no_other_sampler_and_no_other_task(submission, checkpoint):
    assert "txt2img" in said(admit(submission()), "smzdm").reason
    asked = submission(
        task="cut_out", prompt="", cut_out=CutOut(mask_only=True), init_images=(store_input(png()),)
    )
    job = Job(source=asked.source, dialect="native", request=asked.request.model_dump(mode="json"))
    assert said(job, "smzdm").reason == "has no words for: cut_out.mask_only"


def test_volcengine_needs_a_style(submission):
    assert "req_key" in said(admit(submission()), "volcengine").reason


def test_volcengines_command_signs_itself(submission, credentials, tmp_path, checkpoint):
    StylePreset.objects.create(key="drawn", task=StylePreset.Task.TXT2IMG, width=64, height=64, steps=3)
    received = {"req_key": "drawn", "prompt": "it's ) a $HOME `id` 圆"}
    job = admit(submission(dialect="volcengine", operation="CVProcess", received=received, seed=7))
    (tmp_path / "curl").write_text('#!/bin/sh\nfor part in "$@"; do printf "%s\\0" "$part"; done\n')
    (tmp_path / "curl").chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    environment |= dict(zip(("KEY_ID", "SECRET"), credentials, strict=True))
    command = said(job, "volcengine").command
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, check=True)
    parts = done.stdout.decode().split("\0")
    sent = dict(part.split(": ", 1) for part in parts if ": " in part[:40] and not part.startswith("{"))
    text = parts[parts.index("--data-binary") + 1]
    assert json.loads(text)["prompt"] == received["prompt"]
    del sent["Content-Type"]
    answer = Client(HTTP_HOST="testserver").post(
        parts[1].removeprefix(BASE), text, content_type="application/json", headers=sent
    )
    again = Job.objects.exclude(pk=job.pk).first()
    assert again is not None, answer.content.decode()[-260:]
    assert (again.request["prompt"], again.request["seed"]) == (received["prompt"], 7)
