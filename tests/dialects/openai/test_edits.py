"""POST /v1/images/edits and /v1/images/variations, as forms and as JSON."""

import base64
import hashlib
import io
from typing import Any

import pytest
from PIL import Image

from access.models import AccessKey
from jobs.models import Job
from models_registry.models import Kind, ModelFile
from tests.dialects.openai.conftest import PROMPT, mask_file
from tests.support.editing_checkpoint import editing_checkpoint
from tests.support.fake_runner import png
from tests.support.web_server import WebServer, answer

pytestmark = pytest.mark.slow

HOLE = (8, 8, 32, 32)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def data_uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def transparent_jpeg_like(size: tuple[int, int], name: str) -> bytes:
    file = io.BytesIO()
    Image.new("L", size).save(file, name)
    return file.getvalue()


@pytest.fixture
def edited(alice):
    """Submits a form; the generation request of its job."""

    def edited(**fields: Any):
        response = alice.edit(**{"image": png(128, 64), **fields, "async": "true"})
        assert response.status_code == 202, response.content
        return alice.job(response).generation_request

    return edited


@pytest.fixture
def web(source):
    source.reachable = ["127.0.0.1"]
    source.save()
    server = WebServer()
    server.answers["/red.png"] = answer(200, png(128, 64))
    server.answers["/page"] = answer(200, b"<html>")
    yield server
    server.close()


@pytest.mark.field("openai_images", "image")
@pytest.mark.parametrize("name", ["image", "image[]", "image[0]"])
def test_image_of_a_form_is_drawn_over(edited, name):
    request = edited(**{"image": [], name: png(128, 64)})
    assert (request.task, request.prompt, request.strength) == ("img2img", PROMPT, 0.75)
    assert [image.sha256 for image in request.init_images] == [sha256(png(128, 64))]


@pytest.mark.parametrize(
    ("native", "image", "size"), [("256x256", (128, 64), (360, 184)), ("512x512", (64, 640), (160, 1616))]
)
def test_default_size_has_the_proportions_of_the_image_and_the_area_of_the_checkpoint(
    edited, checkpoint, native, image, size
):
    checkpoint.metadata = {"modelspec.resolution": native}
    checkpoint.save()
    request = edited(image=png(*image))
    assert (request.width, request.height) == size


def test_given_size_is_covered_by_the_image(edited):
    request = edited(size="64x64")
    assert (request.width, request.height, request.resize_mode) == (64, 64, "crop")


@pytest.mark.field("openai_images", "mask")
def test_transparent_part_of_the_mask_is_drawn_anew(edited):
    mask = mask_file((128, 64), HOLE)
    request = edited(mask=mask)
    assert request.inpaint.mask.sha256 == sha256(mask)
    assert (request.inpaint.invert, request.strength) == (True, 1.0)


@pytest.mark.field("openai_images", "input_fidelity")
@pytest.mark.parametrize(("fidelity", "strength"), [("high", 0.55), ("low", 0.75)])
def test_input_fidelity_is_the_denoising_strength_without_a_mask(edited, fidelity, strength):
    assert edited(input_fidelity=fidelity).strength == strength


@pytest.mark.parametrize(("fidelity", "guidance"), [("high", 2.0), ("low", None), (None, None)])
def test_checkpoint_that_edits_by_instruction_starts_from_noise(edited, checkpoint, fidelity, guidance):
    checkpoint.instruct = True
    checkpoint.save()
    request = edited(input_fidelity=fidelity or "")
    assert (request.strength, request.image_guidance_scale) == (1.0, guidance)


def test_input_fidelity_with_a_mask_is_a_warning(alice):
    mask = mask_file((128, 64), HOLE)
    response = alice.edit(image=png(128, 64), mask=mask, input_fidelity="high", **{"async": "1"})
    assert response.json()["warnings"] == ["input_fidelity has no effect with a mask"]


def test_text_fields_of_a_form_are_numbers_flags_and_lists(edited):
    ModelFile.objects.create(kind=Kind.MATTING, name="u2netp", path="matting/u2netp.onnx", sha256="1" * 64)
    for name, digit in (("night", "2"), ("rings", "3")):
        ModelFile.objects.create(
            kind=Kind.LORA, family="sd15", name=name, path=f"loras/{name}.safetensors", sha256=digit * 64
        )
    loras = {"loras[][name]": ["night", "rings"], "loras[][weight]": ["0.5", "1"]}
    fields = {"n": "2", "guidance_scale": "3.5", "seed": "7", "background": "transparent", "quality": ""}
    request = edited(**fields, **loras)
    assert (request.num_images, request.guidance_scale, request.seed) == (2, 3.5, 7)
    assert request.cut_out is not None
    assert [(lora.name, lora.unet) for lora in request.loras] == [("night", 0.5), ("rings", 1.0)]
    as_json = '[{"name": "night", "weight": 0.25}]'
    assert [lora.unet for lora in edited(loras=as_json).loras] == [0.25]


@pytest.mark.parametrize("shape", ["text", "list", "object", "images"])
def test_json_body_has_images_as_urls_data_uris_or_base64(alice, shape):
    image, mask = data_uri(png(128, 64)), base64.b64encode(mask_file((128, 64), HOLE)).decode()
    body = {
        "text": {"image": image},
        "list": {"image": [image]},
        "object": {"image": [{"image_url": image}]},
        "images": {"images": [{"image_url": image}]},
    }[shape]
    response = alice.post("images/edits", {"prompt": PROMPT, "mask": mask, "async": True} | body)
    assert response.status_code == 202, response.content
    job = alice.job(response)
    assert job.generation_request.init_images[0].sha256 == sha256(png(128, 64))
    assert job.received["image"] == f"sha256:{sha256(png(128, 64))}", "image data is not stored in the job"
    assert job.received["mask"].startswith("sha256:")


@pytest.mark.parametrize("as_form", [True, False])
def test_image_may_be_a_url(alice, web, as_form):
    fields = {"prompt": PROMPT, "image": web.url("/red.png"), "async": True}
    send = alice.form if as_form else alice.post
    job = alice.job(send("images/edits", fields))
    assert job.generation_request.init_images[0].sha256 == sha256(png(128, 64))
    assert job.received["image"] == web.url("/red.png")


@pytest.mark.slow
def test_output_of_this_platform_may_be_edited_by_its_url(alice, work):
    first = alice.admitted(response_format="url")
    work()
    url = alice.get(f"images/generations/{first.pk}").json()["data"][0]["url"]
    response = alice.post("images/edits", {"prompt": PROMPT, "image": url, "async": True})
    assert response.status_code == 202, response.content


def test_end_user_of_an_edit_is_stored(alice):
    response = alice.edit(image=png(64, 64), user="7", **{"async": "true"})
    assert alice.job(response).end_user == "7"


def test_variation_has_no_prompt(alice):
    response = alice.form(
        "images/variations", {"image": png(64, 64), "n": "3", "size": "64x64", "async": "true"}
    )
    request = alice.job(response).generation_request
    assert (request.task, request.prompt, request.num_images, request.strength) == ("img2img", "", 3, 0.6)


def test_variation_may_be_json(alice):
    response = alice.post("images/variations", {"image": data_uri(png()), "async": True})
    assert alice.job(response).operation == "variations"


@pytest.mark.slow
def test_answer_counts_the_image_as_input(alice, worker):
    response = alice.edit(image=png(64, 64), size="64x64", prompt="red")
    assert response.status_code == 200, response.content
    assert response.json()["usage"]["input_tokens_details"] == {"text_tokens": 1, "image_tokens": 16}


# Repetitions


def test_form_with_another_boundary_is_the_same_request(alice):
    """SDKs build the form again when they send a request again."""
    for boundary in ("first", "second"):
        body = _form(boundary, {"prompt": PROMPT, "async": "true"}, png(64, 64))
        response = alice.client.post(
            "/v1/images/edits",
            body,
            content_type=f"multipart/form-data; boundary={boundary}",
            headers={"Idempotency-Key": "once"},
        )
        assert response.status_code == 202, response.content
    assert Job.objects.count() == 1


@pytest.mark.parametrize("changed", [{"prompt": "another"}, {"image": png(64, 64, "blue")}])
def test_idempotency_key_of_another_form_is_refused(alice, changed):
    fields = {"prompt": PROMPT, "image": png(64, 64), "async": "true"}
    alice.form("images/edits", fields, **{"Idempotency-Key": "once"})
    response = alice.form("images/edits", fields | changed, **{"Idempotency-Key": "once"})
    assert (response.status_code, response.json()["error"]["code"]) == (409, "idempotency_conflict")
    assert response["x-should-retry"] == "false"
    assert Job.objects.count() == 1


def _form(boundary: str, fields: dict[str, str], image: bytes) -> bytes:
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    return b"".join([*parts, head.encode(), image, f"\r\n--{boundary}--\r\n".encode()])


# Refusals


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"image": []}, "image", "Missing required parameter: 'image'"),
        ({"image": [png(), png()]}, "image", "takes no reference images, and no workflow template"),
        ({"image": b"<html>"}, "image", "not an image file"),
        ({"image": png()[:60]}, "image", "damaged or incomplete"),
        ({"image": b""}, "image", ""),
        ({"mask": mask_file((64, 64), HOLE)}, "mask", "must have the size of the image, 128x64 (got 64x64)"),
        ({"mask": mask_file((128, 64))}, "mask", "The mask is opaque"),
        ({"mask": png(128, 64)}, "mask", "The mask is opaque"),
        ({"mask": transparent_jpeg_like((128, 64), "JPEG")}, "mask", "must be a PNG file"),
        ({"mask": transparent_jpeg_like((128, 64), "WEBP")}, "mask", "must be a PNG file"),
        ({"mask": b"no image"}, "mask", "not an image file"),
        ({"mask": [mask_file((128, 64), HOLE)] * 2}, "mask", "Only one mask"),
        ({"n": "11"}, "n", "less than or equal to 10"),
        ({"n": "many"}, "n", "valid integer"),
        ({"markup": "x"}, "markup", "not supported"),
        ({"input_fidelity": "medium"}, "input_fidelity", "'high' or 'low'"),
        ({"picture": png()}, "picture", "Unknown parameter"),
        ({"strength": "0.5"}, "strength", "Unknown parameter"),
        ({"svg[model]": "x"}, "svg[model]", "Unknown parameter"),
        ({"loras": "[{"}, None, "not JSON"),
        ({"loras[][weight]": "1"}, "loras.0.name", "Missing required parameter"),
        ({"prompt": ""}, "prompt", "at least 1 character"),
    ],
    ids=str,
)
def test_invalid_form_is_refused_with_its_field(alice, fields, param, message):
    response = alice.edit(**{"image": png(128, 64), **fields})
    assert response.status_code == 400, response.content
    error = response.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert message in error["message"]
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "image"),
        ({"image": []}, "image"),
        ({"image": 7}, "image.0"),
        ({"image": "http://10.0.0.1/a.png"}, "image"),
        ({"image": "file:///etc/passwd"}, "image"),
        ({"image": {"file_id": "file-1"}}, "image.0"),
        ({"image": [data_uri(png())] * 17}, "image"),
        ({"image": data_uri(png()), "mask": "http://127.0.0.1:1/a.png"}, "mask"),
        ({"image": data_uri(png()), "mask": ""}, "mask"),
    ],
)
def test_invalid_json_is_refused_with_its_field(alice, body, param):
    response = alice.post("images/edits", {"prompt": PROMPT} | body)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, param), error


def test_url_of_a_page_is_refused(alice, web):
    response = alice.post("images/edits", {"prompt": PROMPT, "image": web.url("/page")})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "image")


def test_file_that_is_too_large_is_refused_before_it_is_read(alice):
    """A form that announces 4 GB is answered without reading it."""
    response = alice.client.post(
        "/v1/images/edits",
        b"--x",
        content_type="multipart/form-data; boundary=x",
        CONTENT_LENGTH=str(4 * 1024**3),
    )
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (413, "request_too_large")


@pytest.mark.parametrize(
    ("content_type", "data", "status"),
    [
        ("multipart/form-data; boundary=x", b"no form", 400),
        ("multipart/form-data", b"no boundary", 400),
        ("multipart/form-data; boundary=x", b"", 400),
        ("application/x-www-form-urlencoded", b"prompt=a", 415),
        ("image/png", png(), 415),
    ],
)
def test_body_that_is_no_form_is_refused(alice, content_type, data, status):
    response = alice.client.post("/v1/images/edits", data, content_type=content_type)
    assert response.status_code == status, response.content
    assert response.json()["error"]["message"]


def test_image_of_another_tenant_is_not_found_by_its_hash(alice, charlie):
    alice.edit(image=png(64, 64, "blue"))
    body = {"prompt": PROMPT, "image": f"sha256:{sha256(png(64, 64, 'blue'))}"}
    assert charlie.post("images/edits", body).status_code == 400


def test_edit_with_a_key_of_another_dialect_is_forbidden(source, caller, checkpoint):
    client = caller(*AccessKey.issue(source, dialects=["native"]))
    assert client.edit(image=png()).status_code == 403


def test_images_are_references_of_a_checkpoint_that_edits(alice):
    """One image is not drawn over: the output starts from noise. The size follows from the first image."""
    editing_checkpoint()
    fields = {"model": "klein", "async": "true"}
    job = alice.job(alice.edit(image=png(240, 120), **fields))
    assert (job.generation_request.task, job.generation_request.strength) == ("img2img", 1.0)
    both = {"image[]": [png(240, 120), png(64, 64)]}
    request = alice.job(alice.edit(**both, **fields)).generation_request
    assert (request.task, len(request.images), request.init_images) == ("txt2img", 2, ())
    assert request.width > request.height
    assert request.width % 16 == request.height % 16 == 0
    error = alice.edit(**{"image[]": [png(64 + n, 64) for n in range(15)]}, **fields).json()["error"]
    assert error["param"] == "image"
    assert "takes at most 4 reference images for one output (got 15)" in error["message"]
