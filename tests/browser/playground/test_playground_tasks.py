"""Six tasks in the playground, in Chromium and with the platform's real processes."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import expect

from tests.browser.playground.page import SIZE, Playground, covered, difference, drag, give, of_file, picture
from tests.browser.preparation import drawn
from tests.e2e.installation import Installation

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.demo, pytest.mark.slow]


def test_inpainting_changes_what_is_painted_and_nothing_else(playground: Playground, tmp_path: Path) -> None:
    path = picture(tmp_path)
    playground.choose_mode("Inpaint")
    playground.choose_image(path)
    playground.fill(
        prompt="a green square on a blue background", strength="1", mask_blur="0", mask_size="120"
    )
    drag(playground.page, (0.35, 0.4), (0.65, 0.4))
    drag(playground.page, (0.35, 0.6), (0.65, 0.6))
    playground.console.screenshot("playground-inpaint")
    [job] = playground.generate()
    result, original = playground.output(job), of_file(path)
    assert job["request"]["inpaint"]["blur_x"] == 0
    assert difference(result[:16], original[:16]) < 2
    assert difference(result[100:156, 100:156], original[100:156, 100:156]) > 25


def test_parameters_of_a_dropped_image_are_applied(
    playground: Playground, installation: Installation, tmp_path: Path
) -> None:
    body = {"prompt": "a green square", "seed": 77, "num_inference_steps": 3, "width": 64, "height": 128}
    body |= {"sampler": "Heun", "guidance_scale": 4.5, "checkpoint": "atelier-pastel"}
    job = drawn(installation, **body)
    path = tmp_path / "found.png"
    path.write_bytes(installation.client.get(f"/api/v1/jobs/{job}/outputs/0").content)
    give(playground.page, path)
    playground.page.get_by_role("button", name="Use these parameters").click()
    expect(playground.page.locator("#found-note")).to_have_text("The parameters are in the form.")
    for name, value in {
        "prompt": "a green square",
        "seed": "77",
        "num_inference_steps": "3",
        "width": "64",
        "height": "128",
        "sampler": "Heun",
        "guidance_scale": "4.5",
        "checkpoint": "atelier-pastel",
    }.items():
        expect(playground.field(name)).to_have_value(value)
    [repeated] = playground.generate()
    assert difference(playground.output(repeated), of_file(path)) < 0.5


def test_controlnet_unit_has_a_preview_and_guides_the_image(playground: Playground, tmp_path: Path) -> None:
    page = playground.page
    playground.open("ControlNet")
    page.get_by_role("button", name="Add a ControlNet unit").click()
    expect(page.locator("#quote")).to_contain_text("Choose a ControlNet for each unit")
    unit = page.locator("#controls .at-unit")
    unit.locator("input[type=file]").set_input_files(picture(tmp_path))
    unit.locator("[data-field=module]").select_option("canny")
    expect(unit.get_by_label("Low Threshold")).to_have_value("100")
    unit.get_by_role("button", name="Preview the control map").click()
    expect(unit.get_by_alt_text("control map")).to_be_visible()
    white = unit.get_by_alt_text("control map").evaluate("""async (image) => {
        await image.decode();
        const sheet = new OffscreenCanvas(image.naturalWidth, image.naturalHeight).getContext("2d");
        sheet.drawImage(image, 0, 0);
        const data = sheet.getImageData(0, 0, image.naturalWidth, image.naturalHeight).data;
        return data.filter((value, index) => index % 4 === 0 && value > 127).length / (data.length / 4);
    }""")
    assert 0.001 < white < 0.1  # edges of the circle
    playground.console.screenshot("playground-controlnet")
    unit.locator("[data-field=model]").select_option("atelier-canny")
    [job] = playground.generate()
    [used] = job["request"]["controls"]
    assert (used["model"], used["module"], used["threshold_a"]) == ("atelier-canny", "canny", 100)


def test_grid_has_a_job_for_each_cell(playground: Playground) -> None:
    playground.fill(prompt="a {red|green} circle", width="64", height="64", num_inference_steps="2")
    playground.open("X/Y grid")
    playground.fill(x_axis="guidance_scale", x_values="3, 7", y_axis="num_inference_steps", y_values="1-2")
    expect(playground.page.locator("#quote")).to_contain_text("8 jobs")
    jobs = playground.generate(images=8)
    settings = [
        (job["request"]["num_inference_steps"], job["request"]["guidance_scale"], job["request"]["prompt"])
        for job in jobs
    ]
    assert settings == [
        (steps, scale, f"a {color} circle")
        for steps in (1, 2)
        for scale in (3.0, 7.0)
        for color in ("red", "green")
    ]
    headers = playground.page.locator("#images th").all_inner_texts()
    assert headers == ["CFG: 3", "CFG: 7", "Steps: 1", "Steps: 2"]
    playground.console.screenshot("playground-grid")


def test_background_is_changed_and_the_product_kept(playground: Playground, tmp_path: Path) -> None:
    image = Image.new("RGBA", (SIZE, SIZE))
    ImageDraw.Draw(image).rectangle((96, 96, 160, 160), fill="red")
    path = tmp_path / "product.png"
    image.save(path)
    playground.choose_mode("Change background")
    playground.choose_image(path)
    playground.fill(cut_out_by="transparency", prompt="a green background")
    [job] = playground.generate()
    result = playground.output(job)
    assert difference(result[110:146, 110:146], numpy.array([255, 0, 0])) < 10
    assert result[:32].std() > 0 or difference(result[:32], numpy.array([255, 255, 255])) > 5


def test_history_survives_a_reload(playground: Playground, tmp_path: Path) -> None:
    path = picture(tmp_path)
    playground.choose_mode("Inpaint")
    playground.choose_image(path)
    drag(playground.page, (0.3, 0.5), (0.7, 0.5))
    painted = covered(playground.page)
    playground.fill(prompt="a remembered circle", guidance_scale="5.5")
    [job] = playground.generate()
    page = playground.page
    playground.reload()
    page.get_by_role("button", name="a remembered circle").click()
    expect(playground.downloads).to_have_count(1)
    expect(playground.field("guidance_scale")).to_have_value("5.5")
    expect(page.locator("#init-image img")).to_be_visible()
    assert covered(page) == painted
    page.get_by_role("button", name=f"Seed {job['outputs'][0]['seed']}").click()
    [repeated] = playground.generate()
    assert difference(playground.output(repeated), playground.output(job)) < 0.5
