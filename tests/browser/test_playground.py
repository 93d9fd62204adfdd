"""Tasks in the playground, in Chromium and with the platform's real processes."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from playwright.sync_api import Locator, Page, expect

from tests.browser.console import Console
from tests.browser.test_accessibility import violations_on
from tests.e2e.installation import Installation, eventually

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.demo, pytest.mark.slow]

Pixels = NDArray[numpy.int64]
SIZE = 256


def picture(folder: Path, color: str = "red", left_top: int = 64) -> Path:
    """A circle on blue; by default in the middle."""
    image = Image.new("RGB", (SIZE, SIZE), "blue")
    ImageDraw.Draw(image).ellipse((left_top, left_top, left_top + 128, left_top + 128), fill=color)
    path = folder / f"{color}.png"
    image.save(path)
    return path


class Playground:
    def __init__(self, console: Console, installation: Installation) -> None:
        self.console, self.page, self.client = console, console.page, installation.client
        console.open("playground/")
        expect(self.field("sampler")).not_to_have_value("")
        self.fill(num_inference_steps="6", seed="8")

    @property
    def downloads(self) -> Locator:
        return self.page.locator("#images a[download]")

    def field(self, name: str) -> Locator:
        return self.page.locator(f"#playground [name={name}]")

    def fill(self, **values: str) -> None:
        for name, value in values.items():
            field = self.field(name)
            if field.evaluate("field => field.tagName") == "SELECT":
                field.select_option(value)
            else:
                field.fill(value)

    def choose_mode(self, name: str) -> None:
        self.page.get_by_role("radio", name=name, exact=True).check()

    def choose_image(self, path: Path) -> None:
        self.page.locator("#init-image input[type=file]").set_input_files(path)
        expect(self.page.locator("#init-image img")).to_be_visible()

    def open(self, section: str) -> None:
        self.page.locator("summary", has_text=section).click()

    def generate(self, images: int = 1) -> list[dict[str, Any]]:
        """Generate, and return the jobs from the server, in the order of their submission."""
        before = {job["id"] for job in self.jobs()}
        self.page.get_by_role("button", name="Generate").click()
        expect(self.downloads).to_have_count(images)
        expect(self.page.get_by_role("button", name="Generate")).to_be_enabled()
        new = [job for job in self.jobs() if job["id"] not in before]
        return [self.client.get(job["url"]).json() for job in reversed(new)]

    def jobs(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.client.get("/api/v1/jobs?limit=100").json()["items"]
        return items

    def output(self, job: dict[str, Any], index: int = 0) -> Pixels:
        return pixels(self.client.get(job["outputs"][index]["url"]))


def pixels(response: httpx.Response) -> Pixels:
    return numpy.asarray(Image.open(io.BytesIO(response.content)).convert("RGB")).astype(int)


def of_file(path: Path) -> Pixels:
    return numpy.asarray(Image.open(path).convert("RGB")).astype(int)


def difference(one: Pixels, other: Pixels) -> float:
    return float(abs(one - other).mean())


@pytest.fixture
def playground(console: Console, installation: Installation) -> Playground:
    return Playground(console, installation)


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw a line over the mask, in fractions of the image."""
    canvas = page.locator("#mask")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1], steps=8)
    page.mouse.up()


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
    for event, data in (("drop", "dataTransfer"), ("paste", "clipboardData")):
        playground.page.evaluate(
            """async ([event, data, url]) => {
                const blob = await (await fetch(url)).blob();
                const transfer = new DataTransfer();
                transfer.items.add(new File([blob], "a.png", { type: "image/png" }));
                const options = { bubbles: true, cancelable: true, [data]: transfer };
                const Type = event === "drop" ? DragEvent : ClipboardEvent;
                document.querySelector("[name=prompt]").dispatchEvent(new Type(event, options));
            }""",
            [event, data, data_uri(picture(tmp_path))],
        )
        expect(playground.page.locator("#image-note")).to_have_text(f"{SIZE} × {SIZE}")
        playground.page.get_by_role("button", name="Remove the image").first.click()
        expect(playground.page.locator("#init-image img")).to_be_hidden()


def data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


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


def covered(page: Page) -> float:
    """Fraction of the mask that is painted."""
    return float(
        page.evaluate("""() => {
            const mask = document.getElementById("mask");
            const data = mask.getContext("2d").getImageData(0, 0, mask.width, mask.height).data;
            return data.filter((value, index) => index % 4 === 3 && value > 127).length / (data.length / 4);
        }""")
    )


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
    page.reload()
    expect(playground.field("sampler")).not_to_have_value("")
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


def test_parameters_of_a_dropped_image_are_applied(
    playground: Playground, installation: Installation, tmp_path: Path
) -> None:
    body = {"prompt": "a green square", "seed": 77, "num_inference_steps": 3, "width": 64, "height": 128}
    body |= {"sampler": "Heun", "guidance_scale": 4.5, "checkpoint": "atelier-pastel"}
    job = installation.client.post("/api/v1/jobs", json=body).json()
    path = tmp_path / "found.png"
    eventually(lambda: installation.client.get(job["url"]).json()["state"] == "succeeded", "it ends")
    path.write_bytes(installation.client.get(f"{job['url']}/outputs/0").content)
    playground.choose_image(path)
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
    page.reload()
    expect(playground.field("sampler")).not_to_have_value("")
    page.get_by_role("button", name="a remembered circle").click()
    expect(playground.downloads).to_have_count(1)
    expect(playground.field("guidance_scale")).to_have_value("5.5")
    expect(page.locator("#init-image img")).to_be_visible()
    assert covered(page) == painted
    page.get_by_role("button", name=f"Seed {job['outputs'][0]['seed']}").click()
    [repeated] = playground.generate()
    assert difference(playground.output(repeated), playground.output(job)) < 0.5


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
    expect(playground.page.locator("#code-note")).to_contain_text("ark cannot express: sampler")


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
