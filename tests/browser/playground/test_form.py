"""Parts of the playground's form, in Chromium and with the platform's real processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.console import Console, violations_on
from tests.browser.playground.page import SIZE, Playground, covered, difference, drag, give, of_file, picture
from tests.e2e.installation import Installation

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.demo, pytest.mark.slow]


def test_image_to_image_starts_from_the_chosen_image(playground: Playground, tmp_path: Path) -> None:
    playground.choose_image(picture(tmp_path, left_top=0))
    expect(playground.field("mode").nth(1)).to_be_checked()
    playground.fill(strength="0.2")
    [job] = playground.generate()
    assert (job["request"]["task"], job["request"]["strength"]) == ("img2img", 0.2)
    result = playground.output(job).astype(int)
    red_over_blue = result[..., 0] - result[..., 2]
    assert red_over_blue[40:88, 40:88].mean() > 30  # the circle is where it was
    assert red_over_blue[192:240, 192:240].mean() < -30


def test_image_is_dropped_and_pasted_anywhere(playground: Playground, tmp_path: Path) -> None:
    for event in ("drop", "paste"):
        give(playground.page, picture(tmp_path), event)
        expect(playground.page.locator("#image-note")).to_have_text(f"{SIZE} × {SIZE}")
        playground.page.get_by_role("button", name="Remove the image").first.click()
        expect(playground.page.locator("#init-image img")).to_be_hidden()


def test_file_that_is_no_image_is_explained(playground: Playground, tmp_path: Path) -> None:
    path = tmp_path / "note.png"
    path.write_text("no image")
    playground.page.locator("#init-image input[type=file]").set_input_files(path)
    playground.console.expect_text("This file is not an image")


def test_mask_brush_paints_erases_undoes_and_clears(playground: Playground, tmp_path: Path) -> None:
    page, path = playground.page, picture(tmp_path)
    playground.choose_mode("Inpaint")
    playground.choose_image(path)
    expect(page.locator("#quote")).to_have_text(
        "Paint over the part of the image that is to be generated anew."
    )
    undo, clear = (page.get_by_role("button", name=name, exact=True) for name in ("Undo", "Clear"))
    expect(undo).to_be_disabled()
    playground.fill(mask_size="80")
    drag(page, (0.3, 0.5), (0.7, 0.5))
    assert covered(page) > 0.1
    drag(page, (0.3, 0.9), (0.7, 0.9))
    twice = covered(page)
    undo.click()
    assert covered(page) < twice
    playground.fill(mask_tool="erase")
    drag(page, (0.0, 0.5), (1.0, 0.5))
    assert covered(page) < 0.02
    clear.click()
    assert covered(page) == 0
    expect(undo).to_be_disabled()


def test_hires_fix_doubles_the_size(playground: Playground) -> None:
    playground.fill(width="64", height="64", num_inference_steps="2")
    playground.open("Hires fix")
    playground.page.get_by_label("Enlarge the image and denoise it again").check()
    [job] = playground.generate()
    assert (job["outputs"][0]["width"], job["request"]["hires"]["scale"]) == (128, 2)


def test_loras_vae_styles_and_refiner_are_in_the_request(
    playground: Playground, installation: Installation
) -> None:
    installation.python("""
from models_registry.models import PromptStyle
PromptStyle.objects.create(name="dusk", prompt="{prompt} at dusk", negative_prompt="noon")
print("null")""")
    page = playground.page
    playground.reload()
    for name, weight in (("atelier-night", "0.5"), ("atelier-rings", "0.75")):
        page.get_by_role("button", name="Add a LoRA").click()
        row = page.locator("#loras .at-row").last
        row.locator("select").select_option(name)
        row.get_by_label("LoRA weight").fill(weight)
    playground.fill(vae="atelier-sepia", num_inference_steps="4", width="64", height="64")
    playground.open("Prompt styles")
    page.get_by_label("dusk").check()
    playground.open("Refiner")
    playground.fill(refiner="atelier-pastel", refiner_switch="0.5")
    [job] = playground.generate()
    request = job["request"]
    weights = {lora["name"]: lora["unet"] for lora in request["loras"]}
    assert weights == {"atelier-night": 0.5, "atelier-rings": 0.75}
    assert (request["vae"], request["refiner"]) == (
        "atelier-sepia",
        {"checkpoint": "atelier-pastel", "switch_at": 0.5},
    )
    assert (request["prompt"], request["negative_prompt"]) == (
        "a red circle on a blue background at dusk",
        "noon",
    )


def test_outpainting_adds_pixels_and_keeps_the_image(playground: Playground, tmp_path: Path) -> None:
    path = picture(tmp_path)
    playground.choose_mode("Outpaint")
    playground.choose_image(path)
    playground.fill(outpaint_left="64", outpaint_right="64", outpaint_top="0", outpaint_bottom="0")
    expect(playground.page.locator("#outpaint-size")).to_have_text("Size of the result: 384 × 256")
    [job] = playground.generate()
    result = playground.output(job)
    assert result.shape[:2] == (256, 384)
    assert difference(result[32:-32, 64 + 32 : -64 - 32], of_file(path)[32:-32, 32:-32]) < 2


def test_wrong_axis_is_explained_before_anything_runs(playground: Playground) -> None:
    playground.open("X/Y grid")
    quote = playground.page.locator("#quote")
    for axis, values, message in (
        ("sampler", "Euler, Nothing", "Nothing is not a value of this axis."),
        ("num_inference_steps", "", "Enter the values of the axis"),
        ("prompt", "yellow, green", "The prompt does not contain yellow"),
        ("seed", "1-37", "1-37 is not a value"),
    ):
        playground.fill(x_axis=axis, x_values=values)
        expect(quote).to_contain_text(message)
    playground.fill(x_axis="seed", x_values="1-20", y_axis="guidance_scale", y_values="1, 2")
    expect(quote).to_contain_text("These are 40 jobs")


def test_card_of_a_model_chooses_it(playground: Playground) -> None:
    page = playground.page
    page.get_by_role("button", name="Browse checkpoints").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="atelier-shapes")).to_have_attribute("aria-pressed", "true")
    playground.console.screenshot("playground-cards")
    dialog.get_by_role("searchbox").fill("pastel")
    dialog.get_by_role("button", name="atelier-pastel").click()
    expect(dialog).to_be_hidden()
    expect(playground.field("checkpoint")).to_have_value("atelier-pastel")


def test_code_of_the_request_is_the_request(playground: Playground) -> None:
    playground.fill(prompt='it\'s a "circle" for $5', guidance_scale="4")
    playground.open("As code")
    code = playground.page.locator("#code")
    for language, sign in (
        ("curl", "<<END"),
        ("python", "requests.Session"),
        ("javascript", "await fetch("),
    ):
        playground.fill(code_language=language)
        expect(code).to_contain_text(sign)
        expect(code).to_contain_text('"guidance_scale": 4')
    playground.fill(code_dialect="a1111")
    expect(code).to_contain_text('"cfg_scale": 4')
    playground.fill(code_dialect="ark")
    expect(playground.page.locator("#code-note")).to_contain_text("ark cannot express: num_inference_steps")


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_every_part_is_accessible_and_fits_the_screen(
    visit: Callable[..., Console], installation: Installation, tmp_path: Path, width: int, scheme: str
) -> None:
    console = visit(viewport={"width": width, "height": 900}, color_scheme=scheme)
    errors: list[str] = []
    console.page.on("pageerror", lambda error: errors.append(str(error)))
    playground = Playground(console, installation)
    playground.choose_image(picture(tmp_path))
    playground.page.get_by_role("button", name="Add a LoRA").click()
    for section in ("Refiner", "ControlNet", "X/Y grid", "As code"):
        playground.open(section)
    playground.page.get_by_role("button", name="Add a ControlNet unit").click()
    for name in ("Text to image", "Image to image", "Inpaint", "Outpaint", "Change background"):
        playground.choose_mode(name)
        assert violations_on(console) == [], name
        assert console.page.evaluate("document.scrollingElement.scrollWidth") <= width, name
    playground.page.get_by_role("button", name="Browse checkpoints").click()
    assert violations_on(console) == []
    console.screenshot(f"playground-{width}-{scheme}")
    assert errors == []
