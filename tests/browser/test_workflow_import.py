"""Import of a ComfyUI workflow in the console: drop the file, look at the graph and its slots, try it, draw with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.console import Console, violations_on
from tests.e2e.installation import Installation, eventually
from tests.support.comfyui_double import Double
from tests.support.comfyui_jobs import Adapter
from tests.support.comfyui_templates import FLUX

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.demo, pytest.mark.slow]
RUNNERS = ("comfy-1", "comfy-2")
DROP = """([name, text]) => {
  const data = new DataTransfer();
  data.items.add(new File([text], name, {type: "application/json"}));
  for (const type of ["dragover", "drop"])
    document.querySelector("form [type=file]").form.dispatchEvent(
      new DragEvent(type, {bubbles: true, cancelable: true, dataTransfer: data}));
}"""


@pytest.fixture(scope="module")
def fleet(installation: Installation) -> Iterator[None]:
    """Two ComfyUI servers, of which only the first has FLUX, and a generation cluster for it."""
    token = installation.environment["RUNNER_TOKEN"]
    doubles = [Double(), Double()]
    doubles[1].files["diffusion_models"] = []
    adapters = [Adapter(double, token=token) for double in doubles]
    for name, adapter in zip(RUNNERS, adapters, strict=True):
        installation.manage("register_runner", name, adapter.url)
    own = {"RUNNER_NAME": RUNNERS[0], "Q_CLUSTER_NAME": "generation"}
    installation.start("generation-comfyui", environment=own)
    yield
    installation.kill("generation-comfyui")
    installation.python(
        f"from jobs.models import Runner; Runner.objects.filter(name__in={RUNNERS}).update(enabled=False); print(1)"
    )
    for adapter in adapters:
        adapter.close()
        adapter.double.close()


def inventories_are_known(installation: Installation) -> bool:
    return bool(
        installation.python(
            "import json; from jobs.execution.runner_monitor import RunnerWatch; from jobs.models import Runner\n"
            f"[RunnerWatch(name).look() for name in {RUNNERS}]\n"
            f"print(json.dumps(all(runner.nodes for runner in Runner.objects.filter(name__in={RUNNERS}))))"
        )
    )


def test_dropped_workflow_is_drawn_with_its_slots_tried_and_served(
    console: Console, installation: Installation, fleet: None
) -> None:
    page = console.page
    eventually(lambda: inventories_are_known(installation), "the inventories are read")
    console.open("models_registry/workflowtemplate/")
    console.click_link("Import a workflow")
    expect(page.locator("form [type=file]")).to_be_attached()
    page.evaluate(DROP, ["flux shop.json", json.dumps({"prompt": FLUX})])
    expect(page.get_by_label("Name")).to_have_value("flux shop")
    console.screenshot("workflow-import")
    console.click_button("Import")

    expect(page.locator("svg [data-node='13'] rect")).to_be_visible()
    expect(page.locator("svg [data-slot='guidance_scale']")).to_contain_text("guidance: 3.5")
    expect(page.locator("#id_slots")).to_have_value(re.compile("25.noise_seed"))
    console.expect_text("fits on comfy-1")
    console.expect_text("comfy-2 lacks flux1-dev.safetensors")

    assert not violations_on(console)

    console.click_button("Try")
    image = page.get_by_alt_text("Generated image")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1024
    console.screenshot("workflow-template")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    console.screenshot("workflow-template-phone")
    page.set_viewport_size({"width": 1440, "height": 900})

    page.get_by_role("link", name="Add another Workflow rule").click()
    page.locator("[name='rules-0-purpose']").select_option("txt2img")
    page.locator("[name='rules-0-dialect']").fill("native")
    console.click_button("Save")
    console.expect_text("on comfy-1: compatible")
    body = {"task": "txt2img", "prompt": "a red circle", "width": 64, "height": 64, "seed": 200}
    created = installation.client.post("/api/v1/jobs", json=body)
    assert created.status_code == 201, created.text
    job = created.json()["id"]
    eventually(
        lambda: installation.client.get(f"/api/v1/jobs/{job}").json()["state"] == "succeeded", "it draws"
    )
    console.open(f"jobs/job/{job}/change/")
    console.expect_text("Workflow: flux shop")
