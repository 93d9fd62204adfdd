"""Reproductions by an engine with the demo models: identical pixels, and how far another seed is."""

import io
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image

from gpu_runner.protocol import Event
from models_registry.models import Family, Kind, ModelFile
from tests.dialects.native.test_reproductions import capsule, file_of, reproduced
from tests.support.demo_engine import Studio, demo_checkpoint, demo_file
from tests.support.fake_runner import JobStream

pytestmark = [pytest.mark.demo, pytest.mark.slow]

SMALL = {"width": 128, "height": 128, "num_inference_steps": 6, "prompt": "a red circle on a blue background"}


@pytest.fixture(scope="module")
def studio() -> Iterator[Studio]:
    studio = Studio.of_the_demo()
    yield studio
    studio.close()


@pytest.fixture(autouse=True)
def engine(studio, fake_runner, checkpoint) -> ModelFile:
    """The runner's jobs are drawn by the engine. Returns its LoRA."""

    def draws(stream: JobStream) -> None:
        ended = threading.Event()

        def forward(event: Event) -> None:
            stream.send(event)
            if event.type in ("done", "failed"):
                ended.set()

        studio.engine.submit(stream.run_request, forward)
        ended.wait()

    fake_runner.behavior = draws
    demo, night = demo_checkpoint(), demo_file("loras/atelier-night.safetensors")
    ModelFile.objects.filter(pk=checkpoint.pk).update(path=demo.path, sha256=demo.sha256)
    fields = {"kind": Kind.LORA, "family": Family.SD15, "name": "night"}
    return ModelFile.objects.create(path=night.path, sha256=night.sha256, **fields)


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def test_same_installation_draws_the_same_pixels(alice, work, data_uri):
    inpaint = {"task": "img2img", "init_images": [data_uri], "inpaint": {"mask": data_uri}, "strength": 0.8}
    for fields in (
        {"num_images": 2, "sampler": "Euler a", "loras": [{"name": "night", "unet": 0.7}]},
        {"sampler": "DPM++ 2M SDE", "hires": {"width": 192, "height": 192, "num_inference_steps": 4}},
        {**inpaint, "sampler": "DDIM"},
        {"output_format": "jpeg", "subseed": 5, "subseed_strength": 0.3},
    ):
        job = alice.submit(**SMALL, seed=8, **fields)
        work()
        document = capsule(alice, job, index=job.request["num_images"] - 1)
        assert document["environment"]["packages"]["torch"] == torch.__version__
        assert document["environment"]["settings"]["dtype"] == "float32"
        found = reproduced(alice, work, document)
        assert found["conditions"] == []
        assert found["comparison"]["verdict"] in ("same_file", "same_pixels"), (fields, found)


def test_installation_with_other_names_draws_the_same_pixels(alice, charlie, work, engine, image, data_uri):
    job = alice.submit(**SMALL, seed=8, task="img2img", init_images=[data_uri], loras=[{"name": "night"}])
    work()
    document, original = capsule(alice, job), file_of(alice, job)
    ModelFile.objects.filter(pk=engine.pk).update(name="another name")
    found = reproduced(charlie, work, document, inputs=[image], original=original)
    assert (found["original"], found["comparison"]["max_difference"]) == ("sent", 0)


def test_figures_of_another_seed_are_those_of_the_two_images(alice, work):
    job = alice.submit(**SMALL, seed=8)
    work()
    document = capsule(alice, job)
    document["request"]["seed"] = document["seed"] = 9
    found = reproduced(alice, work, document)
    one, two = pixels(file_of(alice, job)), pixels(_file(alice, found["id"]))
    apart = np.abs(one - two)
    comparison = found["comparison"]
    assert comparison["verdict"] == "different"
    assert comparison["max_difference"] == apart.max() > 0
    assert comparison["mean_difference"] == pytest.approx(apart.mean())
    assert comparison["differing_share"] == pytest.approx((apart.max(axis=2) > 0).mean())
    assert comparison["psnr"] == pytest.approx(10 * np.log10(255**2 / (apart**2).mean()))
    picture = pixels(alice.client.get(comparison["picture_url"]).content)
    assert (picture == apart * 255 // apart.max()).all()


def test_another_checkpoint_under_the_same_name_is_missing(alice, work, checkpoint):
    job = alice.submit(**SMALL)
    work()
    document = capsule(alice, job)
    pastel = demo_file("checkpoints/atelier-pastel.safetensors")
    ModelFile.objects.filter(pk=checkpoint.pk).update(path=pastel.path, sha256=pastel.sha256)
    response = alice.post("reproduce", document)
    assert response.json()["code"] == "missing_parts"
    assert demo_checkpoint().sha256 in response.json()["detail"]


def _file(client, job_id: str) -> bytes:
    return b"".join(client.get(f"jobs/{job_id}/outputs/0").streaming_content)
