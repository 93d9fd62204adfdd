"""Parameters of an image for the playground's form."""

import pytest

from gpu_runner.protocol.request_parts.details import FaceRestoration
from gpu_runner.protocol.request_parts.passes import LoraUse
from jobs.models import Job
from models_registry.models import Kind, ModelFile

pytestmark = pytest.mark.slow

URL = "/admin/gallery/parameters/"


@pytest.fixture
def lora(db):
    file = {"kind": Kind.LORA, "family": "sd15", "path": "loras/night.safetensors", "sha256": "1" * 64}
    return ModelFile.objects.create(name="night", **file)


@pytest.fixture
def parameters(ops):
    def parameters(output, client=ops):
        return client.get(URL, {"job": output.job_id, "image": output.index}).json()

    return parameters


def test_form_has_the_values_of_the_request_and_the_seed_of_the_image(generated, parameters):
    fields = {
        "prompt": "a red cat",
        "width": 128,
        "sampler": "DPM++ 2M",
        "num_inference_steps": 7,
        "seed": 40,
    }
    _first, second = generated("red", "blue", **fields)
    found = parameters(second)
    assert found["source"] == "shop"
    assert found["fields"].items() >= (fields | {"seed": 41, "checkpoint": "shapes"}).items()
    assert found["note"] == f"Parameters of image 1 of job {str(second.job_id)[:8]}."
    assert found["left"] == []


def test_loras_become_tags_once(generated, parameters, lora):
    uses = (LoraUse(name="night", unet=0.5, text_encoder=0.25),)
    plain, tagged = (
        generated("red", loras=uses)[0],
        generated("red", prompt="x <lora:night:1>", loras=uses)[0],
    )
    assert parameters(plain)["fields"]["prompt"] == "a red circle <lora:night:0.25:0.5>"
    assert parameters(tagged)["fields"]["prompt"] == "x <lora:night:1>"


def test_what_the_form_cannot_have_is_named(
    generated, parameters, lora, checkpoint, other_source, face_models
):
    image = generated(
        "red", loras=(LoraUse(name="night"),), face_restoration=FaceRestoration(), tiling=True, seed=2**60
    )[0]
    for file in (lora, checkpoint):
        file.allowed_sources.add(other_source)
    found = parameters(image)
    assert set(found["left"]) == {"face_restoration", "tiling", "seed", "LoRA night", "shapes"}
    assert not {"seed", "checkpoint"} & set(found["fields"])


def test_images_of_other_tenants_are_not_found(generated, sign_in, source, other_source):
    image = generated("red", source=other_source, key=None)[0]
    client = sign_in("tenant", source)
    assert client.get(URL, {"job": image.job_id, "image": 0}).status_code == 404
    assert Job.objects.count() == 1


def test_role_without_the_playground_is_denied(generated, sign_in):
    assert sign_in("viewer").get(URL, {"job": generated("red")[0].job_id}).status_code == 403


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 400),
        ({"job": "x"}, 400),
        ({"job": "0" * 32, "image": "x"}, 400),
        ({"job": "0" * 32, "image": 9**40}, 404),
    ],
)
def test_wrong_references(ops, db, query, status):
    assert ops.get(URL, query).status_code == status
