"""Inpainting and outpainting: which pixels are generated, and which requests are refused."""

import io

import numpy as np
import pytest
from PIL import Image

from dialects.volcengine.examples import repeat
from jobs.api_reference.job_calls import JobContext
from jobs.images.storage import read_input
from jobs.models import Job
from models_registry.models import StylePreset
from tests.dialects.volcengine.conftest import encoded, png
from tests.support.input_images import UNUSABLE, is_upright, photo
from tests.support.web_server import WebServer, answer

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

LATER = "2024-06-06"


@pytest.fixture
def presets(checkpoint):
    common = {"checkpoint": checkpoint, "steps": 30, "strength": 0.8, "long_side": 704}
    for key, task in (("i2i_inpainting", "inpaint"), ("i2i_outpainting", "outpaint")):
        StylePreset.objects.create(key=key, task=task, **common)
    StylePreset.objects.create(key="i2i_inpainting_edit", task="inpaint", checkpoint=checkpoint)


@pytest.fixture
def refused(alice, presets):
    """Sends a request that must be refused without a job, and returns the code."""

    def refuse(req_key: str, *images: bytes, **fields) -> int:
        body = {"req_key": req_key, "binary_data_base64": [encoded(data) for data in images]} | fields
        response = alice.call("CVProcess", body).json()
        assert (Job.objects.count(), response["data"]) == (0, None)
        return response["code"]

    return refuse


@pytest.fixture
def submitted(alice, presets):
    """Submits a request, and returns the job's GenerationRequest."""

    def submit(req_key: str, *images: bytes, **fields):
        body = {"req_key": req_key, "binary_data_base64": [encoded(data) for data in images]}
        return alice.submit(body | fields).generation_request

    return submit


def mask(width: int, height: int) -> bytes:
    """A mask whose left half is to be generated."""
    image = Image.new("L", (width, height))
    image.paste(255, (0, 0, width // 2, height))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("req_key", ["i2i_inpainting", "i2i_outpainting"])
@pytest.mark.parametrize("level", [0, 255])
def test_mask_that_marks_nothing_or_everything_is_refused(refused, req_key, level):
    one_color = io.BytesIO()
    Image.new("L", (96, 64), level).save(one_color, "PNG")
    assert refused(req_key, mask(96, 64), one_color.getvalue()) == 50200


def stored(reference) -> Image.Image:
    return Image.open(io.BytesIO(read_input(reference.sha256)))


@pytest.mark.parametrize("req_key", ["i2i_inpainting", "i2i_inpainting_edit"])
def test_white_part_of_the_mask_is_generated(submitted, req_key):
    request = submitted(req_key, png(256, 128), mask(256, 128), custom_prompt="一只小狗", seed=7)
    part = request.change_background
    assert (request.task, part.mask_invert, request.prompt, request.seed) == (
        "change_background",
        True,
        "一只小狗",
        7,
    )
    assert (part.output_width, part.output_height) == (request.width, request.height) == (256, 128)
    assert np.asarray(stored(part.mask))[0, [0, 127, 128]].tolist() == [255, 255, 0]


def test_large_image_is_generated_at_the_styles_size_and_scaled_back(submitted):
    request = submitted("i2i_inpainting", png(1408, 704), mask(1408, 704), steps=12, scale=5, strength=0.7)
    part = request.change_background
    assert (request.width, request.height) == (704, 352)
    assert (part.output_width, part.output_height) == (1408, 704)
    assert (request.num_inference_steps, request.guidance_scale, request.strength) == (12, 5, 0.7)


def test_each_margin_is_a_fraction_of_its_side(submitted):
    shares = {"left": 1, "right": 0.5, "top": 0.25, "bottom": 0}
    request = submitted("i2i_outpainting", png(100, 80), custom_prompt="蓝色海洋", **shares)
    canvas, mask_pixels = stored(request.init_images[0]), np.asarray(stored(request.change_background.mask))
    assert canvas.size == (250, 100)
    assert (np.asarray(canvas)[20:, 100:200] == (255, 0, 0)).all()
    assert not mask_pixels[20:, 100:200].any()
    assert mask_pixels.sum() == 255 * (250 * 100 - 100 * 80)
    assert (request.change_background.output_width, request.change_background.output_height) == (250, 100)


def test_default_margin_is_a_tenth(submitted):
    assert stored(submitted("i2i_outpainting", png(100, 50)).init_images[0]).size == (120, 60)


def test_too_large_a_canvas_is_scaled_down_with_its_image(submitted):
    request = submitted("i2i_outpainting", png(1000, 500), left=1, right=1, top=0, bottom=0, max_width=1500)
    assert stored(request.init_images[0]).size == (1500, 250)
    kept = np.asarray(stored(request.change_background.mask)) == 0
    assert kept.sum() == 500 * 250


def test_outpainting_accepts_a_canvas_with_its_mask(submitted):
    request = submitted("i2i_outpainting", png(256, 128), mask(256, 128), left=1)
    assert stored(request.init_images[0]).size == (256, 128)


def test_every_sdk_action_selects_its_style(alice, presets):
    both = [encoded(png(64, 64)), encoded(mask(64, 64))]
    for action in ("Img2ImgInpainting", "Img2ImgInpaintingEdit", "Img2ImgOutpainting"):
        for version in ("2022-08-31", LATER):
            sent = {"binary_data_base64": both}
            response = alice.call(action, sent, version=version)
            assert response.status_code == 504, response.content  # no worker runs
    styles = [job.generation_request.task for job in Job.objects.all()]
    assert styles == ["change_background"] * 6


def test_job_stores_the_request_and_its_call_repeats_it(alice, presets):
    sent = {"req_key": "i2i_outpainting", "binary_data_base64": [encoded(png(64, 64))], "left": 0.5}
    job = alice.submit(sent)
    assert (job.received["left"], sorted(job.received)) == (0.5, ["left", "picture", "req_key"])
    request = job.generation_request
    urls = repeat(JobContext(job, request, "http://here")).body["image_urls"]
    assert request.init_images[0].sha256 in urls[0]
    assert request.change_background.mask.sha256 in urls[1]


def test_missing_images_are_refused(refused):
    assert refused("i2i_inpainting") == refused("i2i_inpainting", png(64, 64)) == 50201
    assert refused("i2i_outpainting") == 50201
    assert refused("i2i_inpainting", png(64, 64), binary_data_base64=[encoded(png(64, 64)), ""]) == 50206
    assert refused("i2i_inpainting", png(64, 64), b"no image") == 50207


def test_invalid_images_and_margins_are_refused(refused):
    assert refused("i2i_inpainting", *[png(64, 64)] * 3) == 50200
    assert refused("i2i_outpainting", png(64, 64), left=0, right=0, top=0, bottom=0) == 50200
    assert refused("i2i_outpainting", png(64, 64), left=1.1) == 50200
    assert refused("i2i_outpainting", png(64, 64), left="1") == 50204
    assert refused("i2i_outpainting", png(64, 64), max_width=8) == 50200
    assert refused("i2i_outpainting", png(64, 64), max_height=5000) == 50200


def test_photos_keep_the_shape_that_a_viewer_shows(alice, submitted):
    """A phone stores a photo lying, with its orientation in EXIF."""
    request = submitted("i2i_inpainting", photo(256, 128), mask(256, 128))
    part = request.change_background
    assert (part.output_width, part.output_height) == (request.width, request.height) == (256, 128)
    canvas = stored(submitted("i2i_outpainting", photo(200, 100), left=0.5, right=0).init_images[0])
    assert canvas.size == (300, 120)
    assert is_upright(canvas.crop((100, 10, 300, 110)))


def test_photos_by_url_keep_their_shape(alice, presets, source):
    server = WebServer()
    server.answers |= {"/photo": answer(200, photo(256, 128)), "/mask": answer(200, mask(256, 128))}
    source.reachable = ["127.0.0.1"]
    source.save()
    try:
        urls = [server.url("/photo"), server.url("/mask")]
        part = alice.submit(
            {"req_key": "i2i_inpainting", "image_urls": urls}
        ).generation_request.change_background
    finally:
        server.close()
    assert (part.output_width, part.output_height) == (256, 128)


@pytest.mark.parametrize(("data", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_message_says_which_image_is_refused_and_why(alice, presets, source, data, reason):
    server = WebServer()
    server.answers |= {"/image": answer(200, png(64, 64)), "/unusable": answer(200, data)}
    source.reachable = ["127.0.0.1"]
    source.save()
    try:
        urls = [server.url("/image"), server.url("/unusable")]
        given = {"image_urls": urls}, {"binary_data_base64": [encoded(png(64, 64)), encoded(data)]}
        for images in given:
            response = alice.call("CVProcess", {"req_key": "i2i_inpainting", **images}).json()
            (name,) = images
            assert response["code"] == 50207
            assert response["message"].startswith(f"Image Decode Error: {name}[1]: ")
            assert reason in response["message"]
    finally:
        server.close()


def test_message_says_why_a_url_cannot_be_fetched(alice, presets):
    body = {"req_key": "i2i_inpainting", "image_urls": ["http://10.0.0.1/a", "http://10.0.0.1/b"]}
    message = alice.call("CVProcess", body).json()["message"]
    assert message.startswith(
        "Image Decode Error: image_urls[0]: 10.0.0.1 has an address that is neither public"
    )
