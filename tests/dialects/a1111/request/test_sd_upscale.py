"""The script "SD upscale" of img2img."""

import pytest

from jobs.models import Job


def fields(red, *arguments, **body):
    return {"init_images": [red], "script_name": "SD upscale", "script_args": list(arguments), **body}


@pytest.mark.field("a1111_img2img", "script_name", "script_args")
def test_script_of_upstreams_own_test_is_one_job(alice, red) -> None:
    """``red`` has 64 x 64 pixels."""
    job = alice.submit("img2img", **fields(red, "", 8, "Lanczos", 2.0, script_name="sd upscale"))
    request = job.generation_request
    assert request.tiled.model_dump() == {
        "width": 128, "height": 128, "upscaler": "Lanczos", "overlap": 8, "tiles_per_seed": 1,
    }  # fmt: skip
    assert (request.width, request.height, request.num_images, request.tiles) == (64, 64, 1, 9)
    assert job.received["warnings"] == []
    assert Job.objects.count() == 1


def test_batch_size_groups_tiles_and_n_iter_counts_images(alice, red) -> None:
    request = alice.submit("img2img", **fields(red, "", 8, 1, 2, batch_size=4, n_iter=2)).generation_request
    assert (request.num_images, request.batch_size, request.tiled.tiles_per_seed) == (2, 1, 4)
    assert request.tiled.upscaler == "Lanczos"


def test_missing_arguments_are_those_of_the_page(alice, red) -> None:
    """The upscaler None does not enlarge."""
    tiled = alice.submit("img2img", **fields(red, "", 16)).generation_request.tiled
    assert (tiled.width, tiled.upscaler, tiled.overlap) == (64, "None", 16)


def test_infotext_has_the_scripts_parameters(alice, red, complete, info) -> None:
    job = alice.submit("img2img", **fields(red, "", 8, "Lanczos", 2.0))
    complete(job)
    pairs = info(alice.result(job))["extra_generation_params"]
    assert (pairs["SD upscale overlap"], pairs["SD upscale upscaler"]) == (8, "Lanczos")


@pytest.mark.parametrize(
    ("arguments", "body", "place"),
    [
        (["", 8, "Nothing", 2.0], {}, ["body", "script_args", 2]),
        (["", 8, 99, 2.0], {}, ["body", "script_args", 2]),
        (["", "wide", 0, 2.0], {}, ["body", "script_args", 1]),
        (["", 8, "Lanczos", 9], {}, ["body", "script_args", 3]),
        (["", 8, "Lanczos", None], {}, ["body", "script_args", 3]),
        (["", 64, "Lanczos", 2.0], {}, ["body", "script_args", 1]),
        (["", 300, "Lanczos", 2.0], {"width": 400, "height": 400}, ["body", "script_args"]),
    ],
)
def test_invalid_arguments_are_refused_at_their_place(alice, red, arguments, body, place) -> None:
    response = alice.post("img2img", fields(red, *arguments, **{"width": 64, "height": 64, **body}))
    assert (response.status_code, response.json()["detail"][0]["loc"]) == (422, place)


def test_mask_is_refused_together_with_the_script(alice, red) -> None:
    response = alice.post("img2img", fields(red, "", 8, "Lanczos", 2.0, mask=red))
    assert (response.status_code, response.json()["detail"][0]["loc"]) == (422, ["body", "mask"])


def test_script_is_listed_for_img2img_only_and_refused_for_txt2img(alice) -> None:
    scripts = alice.get("scripts").json()
    assert ("sd upscale" in scripts["img2img"], "sd upscale" in scripts["txt2img"]) == (True, False)
    response = alice.post("txt2img", {"script_name": "SD upscale"})
    assert response.json()["detail"][0]["loc"] == ["body", "script_name"]
