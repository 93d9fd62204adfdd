"""Page object of the playground, and the images with which its tasks begin."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import httpx
import numpy
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from playwright.sync_api import Locator, Page, expect

from tests.browser.console import Console
from tests.e2e.installation import Installation

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
        self.begin()

    def begin(self) -> None:
        """Wait for the form, and choose the source whose jobs ``client`` sees."""
        expect(self.field("sampler")).not_to_have_value("")
        with self.page.expect_response(lambda response: "playground/choices" in response.url):
            self.field("source").select_option("demo")
        expect(self.field("sampler")).not_to_have_value("")
        self.fill(num_inference_steps="6", seed="8")

    def reload(self) -> None:
        self.page.reload()
        self.begin()

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


def covered(page: Page) -> float:
    """Fraction of the mask that is painted."""
    return float(
        page.evaluate("""() => {
            const mask = document.getElementById("mask");
            const data = mask.getContext("2d").getImageData(0, 0, mask.width, mask.height).data;
            return data.filter((value, index) => index % 4 === 3 && value > 127).length / (data.length / 4);
        }""")
    )


def data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def give(page: Page, path: Path, event: str = "drop") -> None:
    """Drop a file on the prompt, or paste it there."""
    page.evaluate(
        """async ([event, data, url]) => {
            const blob = await (await fetch(url)).blob();
            const transfer = new DataTransfer();
            transfer.items.add(new File([blob], "a.png", { type: "image/png" }));
            const options = { bubbles: true, cancelable: true, [data]: transfer };
            const Type = event === "drop" ? DragEvent : ClipboardEvent;
            document.querySelector("[name=prompt]").dispatchEvent(new Type(event, options));
        }""",
        [event, {"drop": "dataTransfer", "paste": "clipboardData"}[event], data_uri(path)],
    )
