"""Several images into and out of a template: references, batches, and further nodes that save."""

import hashlib
import io

import pytest
from PIL import Image as PILImage

from gpu_runner.protocol import Done, Failed, InputImage
from gpu_runner.protocol.workflows import slots
from tests.support.comfyui_templates import FLUX_SLOTS, flux
from tests.support.event_listener import image_file
from tests.support.template_exports import node

SIZE = {"width": 64, "height": 64, "num_inference_steps": 20}
COLORS = ("red", "blue", "green")
BATCH = FLUX_SLOTS | {"batch_size": "27.batch_size"}


@pytest.fixture
def drawn(generate, make_request):
    """Run a request of a template without a checkpoint, and return its listener."""

    def drawn(workflow, *files, **fields):
        images = tuple(InputImage(sha256=hashlib.sha256(data).hexdigest()) for data in files)
        plain = make_request(workflow=workflow, more=files, images=images, **SIZE | fields)
        asked = plain.request.model_copy(update={"checkpoint": ""})
        return generate(plain.model_copy(update={"checkpoint": None, "request": asked}))

    return drawn


def succeeded(listener) -> Done:
    assert isinstance(listener.events[-1], Done), listener.events[-1]
    return listener.events[-1]


# Batches -------------------------------------------------------------------------------------------------------------


def test_slot_of_the_batch_size_draws_the_batches_of_the_request(drawn, double):
    listener = drawn(slots.read("batch", flux(), BATCH), seed=40, num_images=5, batch_size=2)
    work = succeeded(listener)
    latents = [body["prompt"]["27"]["inputs"]["batch_size"] for body in double.posted]
    assert latents == [2, 2, 1]
    assert [(image.index, image.seed) for image in listener.images] == [
        (0, 40),
        (1, 40),
        (2, 42),
        (3, 42),
        (4, 44),
    ], "images of one prompt share its seed"
    assert (work.images_drawn, listener.progress[-1].steps) == (5, 8 * 5)


def test_all_images_of_a_batch_in_the_graph_are_delivered(drawn, double):
    workflow = slots.read("three", flux(node_27={"batch_size": 3}), FLUX_SLOTS)
    listener = drawn(workflow, num_images=4)
    succeeded(listener)
    assert [image.index for image in listener.images] == [0, 1, 2, 3, 4, 5]
    assert len(double.posted) == 2, "no prompt is queued for images that are there already"


def test_images_of_several_nodes_come_in_the_order_of_the_slot_and_extras_beside_them(drawn, double):
    graph = flux()
    graph["2"] = node("SaveImage", images=["8", 0], filename_prefix="first")
    graph["1"] = node("SaveImage", images=["8", 0], filename_prefix="mask")
    own = {"filename_prefix": ["9.filename_prefix", "2.filename_prefix"], "extras": "1.filename_prefix"}
    listener = drawn(slots.read("three nodes", graph, FLUX_SLOTS | own))
    succeeded(listener)
    results = [image.index for image in listener.images if not image.extra]
    extras = [image.index for image in listener.images if image.extra]
    assert (results, extras) == ([0, 1], [0])
    prefixes = [double.posted[0]["prompt"][key]["inputs"]["filename_prefix"] for key in ("9", "2", "1")]
    assert prefixes == ["atelier/job-1-0", "atelier/job-1-0-1", "atelier/job-1-0-2"]


# References ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def edit():
    """Qwen-Image-Edit with up to three references, of which the third is scaled first."""
    graph = flux()
    for number, key in enumerate(("30", "31", "32")):
        graph[key] = node("LoadImage", image=f"reference{number}.png")
    graph["33"] = node("ResizeImageMaskNode", input=["32", 0], resize_type="scale dimensions")
    inputs = {"image1": ["30", 0], "image2": ["31", 0], "image3": ["33", 0]}
    graph["6"] = node("TextEncodeQwenImageEditPlus", clip=["11", 0], prompt="", **inputs)
    own = {"prompt": "6.prompt", **{f"images[{number}]": f"{30 + number}.image" for number in range(3)}}
    return slots.read("edit", graph, FLUX_SLOTS | own, ["images[1]", "images[2]"])


def test_references_reach_their_nodes_in_order_and_as_they_are(drawn, double, edit):
    succeeded(drawn(edit, *(image_file(color, (40, 24)) for color in COLORS)))
    graph = double.posted[0]["prompt"]
    sent = [double.inputs[graph[key]["inputs"]["image"]] for key in ("30", "31", "32")]
    pictures = [PILImage.open(io.BytesIO(data)).convert("RGB") for data in sent]
    assert [picture.size for picture in pictures] == [(40, 24)] * 3
    assert [picture.getpixel((0, 0)) for picture in pictures] == [(255, 0, 0), (0, 0, 255), (0, 128, 0)]


def test_references_that_are_not_sent_leave_the_graph_with_what_needs_them(drawn, double, edit):
    succeeded(drawn(edit, image_file("red")))
    graph = double.posted[0]["prompt"]
    assert not {"31", "32", "33"} & graph.keys()
    assert graph["6"]["inputs"].keys() & {"image1", "image2", "image3"} == {"image1"}


@pytest.mark.parametrize("count", [0, 4], ids=["none", "too many"])
def test_wrong_number_of_references_is_refused_by_name(drawn, double, edit, count):
    failed = drawn(edit, *(image_file(color) for color in (*COLORS, "white")[:count])).events[-1]
    assert isinstance(failed, Failed)
    assert failed.message.startswith("images: ")
    assert double.posted == []
