"""The gallery in Chromium: selection, lightbox, favorites, download, and the slider on a job's page."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Callable

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import expect

from tests.browser.console import Console, violations_on
from tests.e2e.installation import Installation
from tests.support.comfyui_outputs import clip

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.demo, pytest.mark.slow]

CIRCLE = {"prompt": "a red circle on a blue background", "width": 256, "height": 256, "steps": 8, "seed": 8}


def encoded(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


@pytest.fixture(scope="module")
def job(installation: Installation) -> str:
    """Two text-to-image jobs of several images, and an inpainting job, whose id this is."""
    for body in (CIRCLE | {"batch_size": 2}, CIRCLE | {"prompt": "a green star", "seed": 4}):
        assert installation.client.post("/sdapi/v1/txt2img", json=body).status_code == 200
    mask = Image.new("L", (256, 256), "black")
    ImageDraw.Draw(mask).ellipse((64, 64, 192, 192), fill="white")
    body = CIRCLE | {
        "prompt": "a yellow star on a blue background",
        "init_images": [encoded(Image.new("RGB", (256, 256), "navy"))],
        "mask": encoded(mask),
        "denoising_strength": 0.9,
    }
    assert installation.client.post("/sdapi/v1/img2img", json=body).status_code == 200
    return str(
        installation.python("""
import json
from jobs.models import Job
print(json.dumps(str(Job.objects.filter(operation="img2img").latest("created_at").pk)))""")
    )


def test_image_is_opened_and_its_parameters_fill_the_playground(console: Console, job: str) -> None:
    console.open()
    console.click_link("Gallery")
    expect(console.page.locator(".gallery-tile").first).to_be_visible()
    console.page.get_by_text("Filters", exact=True).click()
    console.page.get_by_label("Words of the prompt").fill("green star")
    console.click_button("Apply")
    expect(console.page.locator(".gallery-tile")).to_have_count(1)
    console.page.locator(".gallery-open").click()
    lightbox = console.page.locator("#lightbox")
    expect(lightbox.get_by_text("Steps: 8")).to_be_visible()
    console.screenshot("gallery-lightbox")
    lightbox.get_by_role("link", name="Use these parameters").click()
    expect(console.page.locator("#prefilled")).to_contain_text("Parameters of image 0")
    expect(console.page.locator("[name=prompt]")).to_have_value("a green star")
    expect(console.page.locator("[name=seed]")).to_have_value("4")
    expect(console.page.locator("[name=checkpoint]")).to_have_value("atelier-shapes")


def test_arrows_step_through_the_images_and_escape_closes(console: Console, job: str) -> None:
    console.open("gallery/")
    tiles = console.page.locator(".gallery-open")
    tiles.nth(0).click()
    for key, shown in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1)):
        console.page.keyboard.press(key)
        expect(console.page.locator("#lightbox img")).to_have_attribute(
            "src", tiles.nth(shown).get_attribute("data-image") or ""
        )
    console.page.keyboard.press("Escape")
    expect(console.page.locator("#lightbox")).not_to_be_visible()


def test_selected_images_are_downloaded_marked_and_removed(console: Console, job: str) -> None:
    console.open("gallery/?words=circle")
    tiles = console.page.locator(".gallery-tile")
    star = tiles.nth(0).locator(".gallery-star")
    star.click()
    expect(star).to_have_attribute("aria-pressed", "true")
    boxes = console.page.locator("[name=_selected_action][type=checkbox]")
    boxes.nth(0).check()
    boxes.nth(1).check()
    console.expect_text("Selected: 2")
    console.screenshot("gallery-selection")
    with console.page.expect_download() as download:
        console.page.locator(".gallery-toolbar").get_by_role("button", name="Download").click()
    names = zipfile.ZipFile(download.value.path()).namelist()
    assert len(names) == 2
    console.open("gallery/?favorites=on")
    expect(tiles).to_have_count(1)
    console.page.on("dialog", lambda dialog: dialog.accept())
    boxes.nth(0).check()
    console.page.locator(".gallery-toolbar").get_by_role("button", name="Remove", exact=True).click()
    console.expect_text("1 image was removed.")
    expect(tiles).to_have_count(0)


def test_result_is_compared_with_mask_and_input_by_a_slider(console: Console, job: str) -> None:
    console.open(f"jobs/job/{job}/change/")
    stage = console.page.locator(".job-compare-stage")
    stage.scroll_into_view_if_needed()
    console.page.get_by_label("Compared with").select_option(label="mask")
    console.page.wait_for_load_state("networkidle")

    def white_pixels() -> int:
        shot = Image.open(io.BytesIO(stage.screenshot())).convert("L")
        return sum(shot.histogram()[250:])

    slider, counts = console.page.get_by_label("Uncover"), []
    for position in ("0", "50", "100"):
        slider.fill(position)
        counts.append(white_pixels())
    console.screenshot("job-compared")
    ellipse = 3.14 * 64 * 64
    assert counts[0] < 0.2 * ellipse
    assert counts[1] - counts[0] == pytest.approx(ellipse / 2, rel=0.3)
    assert counts[2] == pytest.approx(ellipse, rel=0.1)


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_selection_lightbox_and_slider_are_accessible_and_fit(
    visit: Callable[..., Console], job: str, width: int, scheme: str
) -> None:
    console = visit(color_scheme=scheme, viewport={"width": width, "height": 900})
    console.open("gallery/")
    console.page.locator("[name=_selected_action][type=checkbox]").first.check()
    found = violations_on(console)
    assert console.width <= width
    console.page.locator(".gallery-open").first.click()
    expect(console.page.locator("#lightbox")).to_be_visible()
    found += violations_on(console)
    console.open(f"jobs/job/{job}/change/")
    console.page.locator(".job-compare-stage").scroll_into_view_if_needed()
    found += violations_on(console)
    assert console.width <= width
    assert found == []


@pytest.fixture
def video(installation: Installation, job: str) -> str:
    """The id of a job with a WebM video."""
    data = base64.b64encode(clip("circle.webm")).decode()
    return str(
        installation.python(f"""
import json
from gpu_runner.protocol import Video
from jobs.images.video.storage import store_video
from jobs.models import Job
job = Job.objects.filter(operation="txt2img").latest("created_at")
output = store_video(job, job.generation_request, Video(index=9, seed=1, data={data!r}), "a video of a circle")
output.save()
print(json.dumps(str(job.pk)))""")
    )


def test_video_has_a_player_on_the_jobs_page_and_in_the_lightbox(console: Console, video: str) -> None:
    console.open(f"jobs/job/{video}/change/")
    player = console.page.locator(".job-images video")
    expect(player).to_be_visible()
    console.page.wait_for_function("document.querySelector('.job-images video').duration > 1.4")
    assert player.evaluate("element => [element.videoWidth, element.videoHeight]") == [64, 48]
    console.screenshot("job-video")
    console.open("gallery/")
    tile = console.page.locator(".gallery-open[data-video]")
    expect(tile.locator("img")).to_be_visible()
    tile.click()
    shown = console.page.locator("#lightbox video")
    expect(shown).to_be_visible()
    expect(console.page.locator("#lightbox img")).not_to_be_visible()
    shown.evaluate("element => element.play()")
    console.page.wait_for_function("document.querySelector('#lightbox video').currentTime > 0")
    console.screenshot("gallery-video")
    console.page.keyboard.press("ArrowRight")
    expect(shown).not_to_be_visible()
    expect(console.page.locator("#lightbox img")).to_be_visible()
