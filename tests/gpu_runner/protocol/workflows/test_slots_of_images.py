"""Grammar of the slots for several images, and requests whose init images become references."""

import pytest

from gpu_runner.protocol import GenerationRequest, InputImage
from gpu_runner.protocol.workflows import slots
from gpu_runner.protocol.workflows.default_purpose import purpose_of, purposes_of
from gpu_runner.protocol.workflows.request_images.references import with_references
from tests.support.comfyui_templates import FLUX_SLOTS, flux
from tests.support.template_exports import node

IMAGES = tuple(InputImage(sha256=digit * 64) for digit in "abc")


def graph():
    loaders = {key: node("LoadImage", image=f"{key}.png") for key in ("30", "31")}
    return flux() | loaders | {"12": node("SaveImage", images=["8", 0], filename_prefix="")}


def workflow(if_asked=(), **more):
    return slots.read("edit", graph(), FLUX_SLOTS | more, if_asked)


TWO = {"images[0]": "30.image", "images[1]": "31.image"}


@pytest.mark.parametrize(
    ("more", "if_asked", "reason"),
    [
        ({"images[1]": "30.image"}, [], "without a gap"),
        ({"images[99]": "30.image"}, [], "unknown slot"),
        (TWO, ["images[0]"], "is required, so the images before it"),
        (TWO, ["images[2]"], "if_asked"),
        ({"extras": "9.filename_prefix"}, [], "named twice"),
        ({"extras": "8.images"}, [], "no input images"),
        ({"filename_prefix": []}, [], "filename_prefix"),
    ],
    ids=["gap", "number", "order", "absent", "twice", "no output", "no result"],
)
def test_slots_that_contradict_each_other_are_explained(more, if_asked, reason):
    with pytest.raises(ValueError, match=reason):
        workflow(if_asked, **more)


def test_template_says_how_many_references_it_takes():
    assert (workflow(**TWO).min_images, workflow(**TWO).max_images) == (2, 2)
    assert workflow(["images[1]"], **TWO).min_images == 1


def img2img(*images, **fields):
    return GenerationRequest(
        task="img2img", init_images=images, num_images=len(images), strength=0.4, **fields
    )


def test_init_image_becomes_the_reference_of_a_template_that_draws_over_none():
    request = with_references(img2img(IMAGES[0]), workflow(**TWO))
    assert (request.task, request.images, request.init_images) == ("txt2img", IMAGES[:1], ())
    assert request.strength == 0.75, "there is nothing to draw over"
    kept = workflow(**TWO, init_images="30.image")
    assert with_references(img2img(IMAGES[0]), kept) == img2img(IMAGES[0])


def test_init_images_with_an_output_each_become_references_only_where_they_belong_together():
    several = img2img(*IMAGES[:2])
    assert with_references(several, workflow(**TWO)) == several
    request = with_references(several, workflow(**TWO), several_inputs=True)
    assert (request.images, request.num_images) == (IMAGES[:2], 1)


def test_request_with_references_is_an_edit():
    request = GenerationRequest(images=IMAGES)
    assert purpose_of(request) == "edit"
    assert purposes_of(img2img(IMAGES[0], image_guidance_scale=1.5)) == {"img2img", "edit"}
    assert purposes_of(img2img(IMAGES[0])) == {"img2img"}
