"""Detail passes: detected regions of a finished image are inpainted, and nothing else changes."""

import hashlib
import itertools
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from gpu_runner.engine.engine import Engine
from gpu_runner.models.store import ModelStore
from gpu_runner.protocol import Done, GenerationRequest, InputImage, Progress
from gpu_runner.protocol.request_parts.control import ControlUnit
from gpu_runner.protocol.request_parts.details import DetailPass, RegionPrompt
from gpu_runner.protocol.request_parts.passes import Hires, Inpaint
from gpu_runner.protocol.request_parts.upscaling import TiledUpscale
from gpu_runner.protocol.step_count import count_evaluations, detail_request
from tests.support.demo_engine import DEMO_MODELS, demo_file
from tests.support.event_listener import Listener, order_of, png
from tests.support.face_files import FACE, YUNET, photograph, two_of_her
from tests.support.tiny_controlnet import ldm_tensors, random_controlnet, write_tensors

pytestmark = pytest.mark.slow

PHOTOGRAPH, TWO = np.asarray(photograph()).astype(int), np.asarray(two_of_her()).astype(int)
SMALL = {"width": 64, "height": 64, "num_inference_steps": 2}


@pytest.fixture(scope="module")
def root(tiny_checkpoint):
    root = tiny_checkpoint[0]
    (root / YUNET).parent.mkdir(exist_ok=True)
    shutil.copy(DEMO_MODELS / YUNET, root / YUNET)
    return root


@pytest.fixture(scope="module")
def engine(root):
    engine = Engine(ModelStore(root, "cpu", torch.float32, 2**34), torch.device("cpu"))
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture(scope="module")
def submit(engine, tiny_checkpoint):
    numbers = itertools.count()

    def submit(*files, models=None, checkpoint=None, more=(), **fields):
        models = {"face_detector:yunet": demo_file(YUNET)} | (models or {})
        listener = Listener()
        order = order_of(
            f"details-{next(numbers)}",
            checkpoint or tiny_checkpoint[1],
            *files,
            more=more,
            models=models,
            **(SMALL | fields),
        )
        engine.submit(order, listener)
        return listener

    return submit


@pytest.fixture(scope="module")
def detail(submit):
    """The output of detail passes alone over an image; the fields are those of one pass."""

    def detail(image, *passes, request=None, **fields):
        passes = passes or (part(**fields),)
        return output(
            submit(png(image), detail_passes=passes, details_only=True, **({"seed": 7} | (request or {})))
        )

    return detail


def part(**fields):
    return DetailPass(**({"detector": "yunet", "strength": 1.0} | fields))


def output(job):
    end = job.end()
    assert isinstance(end, Done), end
    return job.pixels[0]


def digest(data):
    return hashlib.sha256(data).hexdigest()


def differs(one, other):
    return (np.asarray(one) != np.asarray(other)).any(axis=2)


def test_only_the_face_changes(detail):
    after = detail(photograph())
    left, top, right, bottom = FACE
    away = differs(after, PHOTOGRAPH)
    assert away[top + 10 : bottom - 10, left + 10 : right - 10].mean() > 0.9
    away[top - 20 : bottom + 20, left - 20 : right + 20] = False
    assert not away.any()


def test_an_image_without_a_face_is_byte_identical_to_the_one_without_detail_passes(submit):
    plain, detailed = submit(seed=3), submit(seed=3, detail_passes=(part(), part()))
    assert isinstance(plain.end(), Done)
    end = detailed.end()
    assert isinstance(end, Done), end
    assert detailed.images[0].data == plain.images[0].data
    assert end.steps_run == 2
    assert end.pixel_steps == 2 * 64 * 64
    assert detailed.progress[-1].fraction == 1.0


def test_every_face_is_inpainted_one_after_another(detail):
    after = differs(detail(two_of_her()), TWO)
    left, top, right, bottom = FACE
    for shift in (0, 320):
        assert after[top + 10 : bottom - 10, left + 10 + shift : right - 10 + shift].mean() > 0.9


def test_a_region_beyond_the_maximum_is_left_out_and_counted(submit):
    job = submit(png(two_of_her()), detail_passes=(part(max_regions=1),), details_only=True)
    after = differs(output(job), TWO)
    assert job.images[0].regions_left_out == 1
    assert sorted([bool(after[:, :320].any()), bool(after[:, 320:].any())]) == [False, True]


def test_a_skipped_region_is_left_as_it_is(detail):
    regions = (RegionPrompt(skip=True), RegionPrompt())
    after = differs(detail(two_of_her(), regions=regions), TWO)
    assert sorted([bool(after[:, :320].any()), bool(after[:, 320:].any())]) == [False, True]


def test_the_last_prompt_is_for_all_other_regions(detail):
    one, other = RegionPrompt(prompt="a"), RegionPrompt(prompt="b c d")
    both = detail(two_of_her(), regions=(one,))
    assert (both == detail(two_of_her(), regions=(one, one))).all()
    second = differs(both, detail(two_of_her(), regions=(one, other)))
    assert sorted([bool(second[:, :320].any()), bool(second[:, 320:].any())]) == [False, True]


FIELDS = {
    "confidence": {"confidence": 0.99},
    "share": {"min_share": 0.5},
    "largest share": {"max_share": 0.01},
    "offset_x": {"offset_x": 40},
    "offset_y": {"offset_y": 40},
    "dilation": {"dilation": 40},
    "erosion": {"dilation": -40},
    "inverted": {"merge": "invert"},
    "blur": {"mask_blur": 20},
    "ellipse": {"shape": "ellipse"},
    "eyes": {"shape": "eyes"},
    "strength": {"strength": 0.6, "num_inference_steps": 4},
    "whole image": {"only_masked": False, "width": 320, "height": 320},
    "padding": {"padding": 100},
    "size": {"width": 96, "height": 96},
    "steps": {"num_inference_steps": 4},
    "guidance scale": {"guidance_scale": 1.0},
    "sampler": {"sampler": "Heun"},
    "scheduler": {"scheduler": "Karras", "num_inference_steps": 4},
    "eta": {"sampler": "Euler a", "eta": 0.1},
    "other eta": {"sampler": "Euler a", "eta": 0.9},
    "noise": {"noise_multiplier": 0.7},
    "clip skip": {"clip_skip": 2},
    "prompt": {"regions": (RegionPrompt(prompt="a blue dog"),)},
    "negative prompt": {"regions": (RegionPrompt(negative_prompt="a blue dog"),)},
}


@pytest.fixture(scope="module")
def outputs(detail):
    return {name: detail(photograph(), **fields) for name, fields in ({"plain": {}} | FIELDS).items()}


# Without a region above the confidence or within the shares, the image stays as it is.
UNCHANGED = {"confidence", "share", "largest share"}


def test_every_field_has_an_effect_of_its_own(outputs):
    for name in UNCHANGED:
        assert (outputs.pop(name) == PHOTOGRAPH).all()
    equal = [
        pair for pair in itertools.combinations(outputs, 2) if not differs(*map(outputs.get, pair)).any()
    ]
    assert equal == [], equal
    assert not any((pixels == PHOTOGRAPH).all() for pixels in outputs.values())


def test_an_offset_upwards_moves_the_mask_up(detail):
    rows = [
        np.flatnonzero(differs(detail(photograph(), offset_y=offset), PHOTOGRAPH).any(axis=1)).mean()
        for offset in (0, 30)
    ]
    assert rows[0] - rows[1] == pytest.approx(30, abs=8)


def test_inverted_masks_keep_the_face(detail):
    left, top, right, bottom = FACE
    after = differs(detail(photograph(), merge="invert", padding=0), PHOTOGRAPH)
    assert not after[top + 25 : bottom - 25, left + 25 : right - 25].any()
    assert after[:40].mean() > 0.9


def test_merged_regions_are_inpainted_at_once(submit):
    job = submit(png(two_of_her()), detail_passes=(part(merge="merge"),), details_only=True)
    assert isinstance(job.end(), Done)
    assert job.events[-1].steps_run == 2
    after = differs(job.pixels[0], TWO)
    assert after[:, :320].any()
    assert after[:, 320:].any()


def test_only_the_eyes_change(detail):
    after = differs(detail(photograph(), shape="eyes", dilation=0, mask_blur=0), PHOTOGRAPH)
    rows, columns = np.flatnonzero(after.any(axis=1)), np.flatnonzero(after.any(axis=0))
    assert after[104, 141]
    assert after[104, 184]
    assert not after[104, 160:165].any()
    assert rows[0] > 85
    assert rows[-1] < 123
    assert columns[0] > 120
    assert columns[-1] < 205


def test_the_second_pass_continues_the_result_of_the_first(detail):
    both = detail(photograph(), part(), part(strength=0.5))
    one = detail(photograph())
    two = detail(Image.fromarray(one.astype(np.uint8)), part(strength=0.5))
    assert (both == two).all()


def test_each_region_has_the_seed_of_its_image_plus_its_number():
    request = GenerationRequest(seed=100, subseed=50, detail_passes=(part(),))
    region = detail_request(request, request.detail_passes[0], 2, 3)
    assert (region.seed, region.subseed) == (105, 55)
    varied = request.model_copy(update={"subseed_strength": 0.5})
    region = detail_request(varied, request.detail_passes[0], 2, 3)
    assert (region.seed, region.subseed) == (103, 55)


def test_the_whole_image_of_a_hires_pass_is_inpainted_at_its_size():
    request = GenerationRequest(hires=Hires(width=1024, height=768), detail_passes=(part(),))
    sizes = [
        (region.width, region.height)
        for fields in ({}, {"only_masked": False}, {"only_masked": False, "width": 256, "height": 128})
        for region in [detail_request(request, part(**fields), 0, 0)]
    ]
    assert sizes == [(512, 512), (1024, 768), (256, 128)]


def test_images_of_a_job_have_their_own_seeds(submit):
    job = submit(
        png(photograph()), detail_passes=(part(),), details_only=True, num_images=2, batch_size=2, seed=5
    )
    assert isinstance(job.end(), Done)
    again = submit(png(photograph()), detail_passes=(part(),), details_only=True, seed=6)
    assert isinstance(again.end(), Done)
    assert differs(*job.pixels).any()
    assert np.abs(job.pixels[1] - again.pixels[0]).max() <= 1


def test_detail_passes_follow_img2img(submit):
    """img2img of strength 0 decodes the init image, in which the face is found."""
    fields = {"width": 320, "height": 320, "strength": 0.0, "seed": 1, "num_inference_steps": 1}
    plain = output(submit(png(photograph()), **fields))
    job = submit(png(photograph()), **fields, detail_passes=(part(width=64, height=64),))
    assert plain.shape == output(job).shape


def test_an_inpainting_request_details_only_faces_that_its_mask_touches(submit):
    """The mask covers the left half, so that the right face stays as it is."""
    mask = Image.new("L", (640, 320))
    mask.paste(255, (0, 0, 320, 320))
    inpaint = Inpaint(mask=InputImage(sha256=digest(png(mask))), blur_x=0, blur_y=0)
    fields = {"width": 640, "height": 320, "strength": 0.0, "seed": 1, "inpaint": inpaint}
    details = (part(width=64, height=64, num_inference_steps=1),)
    job = submit(png(two_of_her()), more=[png(mask)], **fields, detail_passes=details)
    after = output(job)
    assert (after[:, 325:] == TWO[:, 325:]).all()


def test_control_units_of_a_detail_pass_use_the_region_as_their_image(detail, submit, root, outputs):
    controlnet = write_tensors(root, "controlnet/details.safetensors", ldm_tensors(random_controlnet(1)))
    unit = ControlUnit(model="details", module="canny", pixel_perfect=True)
    job = submit(
        png(photograph()),
        models={"controlnet:details": controlnet},
        detail_passes=(part(controls=(unit,)),),
        details_only=True,
        seed=7,
    )
    assert differs(output(job), outputs["plain"]).any()
    assert differs(job.pixels[0], PHOTOGRAPH).any()


def test_progress_counts_regions_that_are_not_there_as_done(submit):
    job = submit(png(photograph()), detail_passes=(part(max_regions=3),), details_only=True)
    assert isinstance(job.end(), Done)
    steps = [(event.step, event.steps) for event in job.events if isinstance(event, Progress)]
    assert steps == [(4, 6), (5, 6), (6, 6)]


def test_an_interrupt_ends_the_detail_passes(submit, engine):
    """The region in progress is pasted as it is, and the second face is left out."""
    job = submit(png(two_of_her()), detail_passes=(part(num_inference_steps=400),), details_only=True)
    job.until(Progress)
    [job_id] = engine.jobs()
    engine.cancel(job_id, "interrupt")
    end = job.end()
    assert isinstance(end, Done)
    assert end.steps_run < 400
    after = differs(job.pixels[0], TWO)
    assert sorted([bool(after[:, :320].any()), bool(after[:, 320:].any())]) == [False, True]


# Cost ---------------------------------------------------------------------------------------------------------------


def test_the_cost_is_that_of_the_most_regions():
    request = GenerationRequest(
        num_inference_steps=20,
        detail_passes=(
            DetailPass(strength=0.4, max_regions=3, width=1024, height=512),
            DetailPass(merge="merge"),
        ),
    )
    assert count_evaluations(request) == [(20, 512 * 512, 0), (27, 1024 * 512, 1), (9, 512 * 512, 1)]


def test_skipped_regions_and_a_skipped_generation_cost_nothing():
    skipping = DetailPass(max_regions=4, regions=(RegionPrompt(), RegionPrompt(skip=True)))
    request = GenerationRequest(
        task="img2img",
        init_images=(InputImage(sha256="0" * 64),),
        detail_passes=(skipping,),
        details_only=True,
    )
    assert [count.evaluations for count in count_evaluations(request)] == [0, 9]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task": "cut_out", "cut_out": {}}, "detail_passes are only allowed"),
        ({"tiled": TiledUpscale(width=1024, height=1024)}, "without tiled"),
        (
            {"inpaint": Inpaint(mask=InputImage(sha256="1" * 64)), "details_only": True},
            "details_only needs",
        ),
        ({"details_only": True, "detail_passes": ()}, "details_only needs"),
        ({"detail_passes": (DetailPass(),) * 16}, "at most 15"),
    ],
)
def test_detail_passes_are_refused_where_they_cannot_follow(fields, message):
    init_images = (InputImage(sha256="0" * 64),)
    with pytest.raises(ValidationError, match=message):
        GenerationRequest(
            **({"task": "img2img", "init_images": init_images, "detail_passes": (DetailPass(),)} | fields)
        )
