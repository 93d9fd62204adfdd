"""The example requests of a key run as they are shown, and submit a job in each dialect."""

import os
import shutil
import subprocess
from datetime import timedelta

import pytest
from django.utils import timezone

from access.installed_dialects import installed
from access.models import AccessKey
from console.tenants.keys import examples_of
from jobs.api_reference.contexts import PLACEHOLDER_IMAGE
from jobs.models import Job, Runner
from models_registry.models import Kind, ModelFile, StylePreset
from tests.support.fake_runner import png
from tests.support.web_server import WebServer, answer

pytestmark = pytest.mark.slow


def submitting(script: str) -> str:
    """The script without its loop: no runner generates an image."""
    return script.partition("\nwhile ")[0]


@pytest.mark.skipif(not shutil.which("curl"), reason="the examples are written for curl")
def test_example_of_each_dialect_submits_a_job(live_server, settings, source, checkpoint, tmp_path):
    settings.JOB_WAIT_S = settings.STABLEDIFFUSIONAPI_WAIT_S = 0
    Runner.objects.create(
        name="local", url="http://127.0.0.1:9", slots=1, seen_at=timezone.now() + timedelta(hours=1)
    )
    StylePreset.objects.create(
        key="high_aes_general_v20", task=StylePreset.Task.TXT2IMG, checkpoint=checkpoint
    )
    for kind, name, sha256 in ((Kind.CONTROLNET, "lineart", "c"), (Kind.MATTING, "u2netp", "d")):
        ModelFile.objects.create(
            kind=kind, name=name, path=f"{name}.safetensors", sha256=sha256 * 64, family="sd15"
        )
    web = WebServer()
    web.answers["/product.png"] = answer(200, png())
    source.reachable = ["127.0.0.1"]
    source.save()
    key, secret = AccessKey.issue(source)
    examples = dict(examples_of(key, live_server.url, secret))
    assert sorted(examples) == sorted(installed())
    answers = {}
    try:
        for dialect, [curl, *_others] in examples.items():
            script = curl.text.replace(PLACEHOLDER_IMAGE, web.url("/product.png"))
            done = subprocess.run(
                ["bash", "-u", "-c", submitting(script)],
                capture_output=True,
                text=True,
                env=os.environ,
                cwd=tmp_path,
            )
            answers[dialect] = (done.stdout + done.stderr)[-500:]
    finally:
        web.close()
    assert sorted(Job.objects.values_list("dialect", flat=True)) == sorted(installed()), answers
    assert set(Job.objects.values_list("key", flat=True)) == {key.pk}
