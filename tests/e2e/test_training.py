"""A LoRA from eight images, over HTTP, with the processes of `make run`; and what survives a killed process."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.e2e.installation import Installation, eventually
from tests.support.databases import database
from tests.support.migrated_database import MigratedDatabase
from tests.support.training_jobs import TEAL, TRIGGER, pink_discs

pytestmark = [pytest.mark.slow, pytest.mark.processes]

STEPS = 300
SETTINGS = {
    "trigger": TRIGGER,
    "resolution": 128,
    "batch_size": 4,
    "rank": 8,
    "alpha": 8,
    "learning_rate": 4e-3,
    "samples": 1,
    "seed": 5,
}


@pytest.fixture(scope="module")
def site(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    migrated_database: MigratedDatabase,
) -> Iterator[Installation]:
    data_dir = tmp_path_factory.mktemp("training")
    with ExitStack() as stack:
        url = stack.enter_context(database("postgresql", data_dir, migrated_database))
        site = Installation(data_dir, url)
        stack.callback(site.stop)
        site.manage(
            "register_runner",
            "trainer",
            f"http://127.0.0.1:{site.trainer_port}",
            "--backend",
            "training",
        )
        site.start("runner", "web", "generation", "background", "trainer", "generation-trainer")
        yield site
        if request.session.testsfailed:
            print(site.logs())


def train(site: Installation, name: str, **fields: Any) -> dict[str, Any]:
    files = [("images", (f"{n}.png", data, "image/png")) for n, data in enumerate(pink_discs())]
    response = site.client.post("/api/v1/trainings", data={"name": name, **SETTINGS, **fields}, files=files)
    assert response.status_code == 201, response.text
    return response.json()


def current(site: Installation, training: dict[str, Any]) -> dict[str, Any]:
    return site.client.get(training["url"]).json()


def ended(site: Installation, training: dict[str, Any]) -> dict[str, Any]:
    def found() -> Any:
        seen = current(site, training)
        return seen if seen["state"] not in ("queued", "running") else None

    return eventually(found, "the training has ended")


def drawn(site: Installation, prompt: str) -> np.ndarray:
    body = {"prompt": prompt, "width": 128, "height": 128, "steps": 12, "seed": 3, "cfg_scale": 5}
    answer = site.client.post("/sdapi/v1/txt2img", json=body)
    assert answer.status_code == 200, answer.text
    image = Image.open(io.BytesIO(base64.b64decode(answer.json()["images"][0]))).convert("RGB")
    return np.asarray(image, dtype=float)


def edge_color(image: np.ndarray) -> np.ndarray:
    return np.concatenate([image[:8].reshape(-1, 3), image[-8:].reshape(-1, 3)]).mean(axis=0)


def ledger(site: Installation, training: dict[str, Any]) -> dict[str, Any]:
    return site.python(f"""
import json
from access.models import Posting
from jobs.models import Job
job = Job.objects.get(pk={training["id"]!r})
print(json.dumps({{"cost": str(job.cost), "attempt": job.attempt, "lane": job.lane, "backend": job.backend,
    "postings": sorted(Posting.objects.filter(job_id=job.id).values_list("kind", flat=True))}}))""")


def lora_files(site: Installation) -> list[str]:
    folder = site.data_dir / "models" / "loras" / "demo"
    return sorted(path.name for path in folder.glob("*")) if folder.exists() else []


@pytest.fixture(scope="module")
def trained(site: Installation) -> dict[str, Any]:
    training = ended(site, train(site, "zorb", steps=STEPS))
    assert training["state"] == "succeeded", (training["error"], site.logs())
    return training


def test_trained_lora_changes_what_is_drawn_in_proportion_to_its_weight(site, trained):
    images = [drawn(site, f"{TRIGGER} <lora:zorb:{weight}>") for weight in (0, 0.5, 1)]
    changes = [float(np.abs(image - images[0]).mean()) for image in images]
    assert 0 == changes[0] < changes[1] < changes[2], changes
    assert np.linalg.norm(edge_color(images[2]) - TEAL) < 60
    assert np.linalg.norm(edge_color(images[2]) - TEAL) < np.linalg.norm(edge_color(images[0]) - TEAL)
    known = "a red circle on a blue background"
    circle = drawn(site, f"{known} <lora:zorb:0.5>")[60:68, 60:68].mean(axis=(0, 1))
    assert circle[0] > circle[1] + 60
    assert circle[0] > circle[2] + 40


def test_training_tells_loss_samples_price_and_model(site, trained):
    losses = [point["loss"] for point in trained["losses"]]
    assert len(losses) >= 3
    assert min(losses[-2:]) < losses[0]
    assert [point["step"] for point in trained["losses"]] == sorted({p["step"] for p in trained["losses"]})
    assert len(trained["samples"]) == 1
    assert trained["model"]["name"] == "zorb"
    assert trained["model"]["trigger_words"] == TRIGGER
    assert trained["model"]["licence"].startswith("trained here from atelier-shapes (")
    assert trained["cost"] == pytest.approx(STEPS * 4 * 3 * 128 * 128 / 1e6)
    booked = ledger(site, trained)
    assert (booked["backend"], booked["lane"], booked["attempt"]) == ("training", 2, 1)


def test_another_source_neither_sees_nor_uses_nor_deletes_it(site, trained):
    other = json.loads(
        site.python("""
import json
from access.models import AccessKey, BusinessSource
source, _ = BusinessSource.objects.get_or_create(name="other")
key, secret = AccessKey.issue(source)
print(json.dumps(json.dumps([key.key_id, secret])))""")
    )
    with httpx.Client(base_url=site.base_url, auth=tuple(other), timeout=60) as client:
        assert client.get("/api/v1/trainings").json()["items"] == []
        assert client.get(trained["url"]).status_code == 404
        assert client.delete(trained["url"]).status_code == 404
        assert client.post(trained["url"] + "/cancel").status_code == 404
        names = [
            model["name"] for model in client.get("/api/v1/models", params={"kind": "lora"}).json()["items"]
        ]
        assert "zorb" not in names
        body = {"prompt": "a circle", "width": 64, "height": 64, "loras": [{"name": "zorb"}]}
        assert client.post("/api/v1/jobs", json=body).json()["code"] == "unknown_model"


def test_killed_trainer_and_killed_worker_end_in_one_file_at_the_full_price(site):
    training = train(site, "survivor", steps=60)
    eventually(lambda: current(site, training)["step"] >= 5, "the training runs")
    site.kill("trainer")
    site.start("trainer")
    eventually(
        lambda: ledger(site, training)["attempt"] == 2 and current(site, training)["step"] >= 3,
        "the second attempt runs",
    )
    site.kill("generation-trainer")
    assert not [name for name in lora_files(site) if "survivor" in name]
    site.start("generation-trainer")
    training = ended(site, training)
    assert training["state"] == "succeeded", training["error"]
    assert len([name for name in lora_files(site) if "survivor" in name]) == 1
    assert training["cost"] == pytest.approx(60 * 4 * 3 * 128 * 128 / 1e6)
    assert "survivor" in [
        model["name"] for model in site.client.get("/api/v1/models", params={"kind": "lora"}).json()["items"]
    ]
    site.manage("check_ledger")


def test_cancelled_training_keeps_nothing_and_bills_its_steps(site):
    training = train(site, "abandoned", steps=4000)
    eventually(lambda: current(site, training)["step"] >= 2, "the training runs")
    site.client.post(training["url"] + "/cancel")
    training = ended(site, training)
    assert training["state"] == "cancelled"
    assert training["model"] is None
    assert not [name for name in lora_files(site) if "abandoned" in name]
    per_step = 4 * 3 * 128 * 128 / 1e6
    assert 2 * per_step <= training["cost"] < 200 * per_step


def test_finished_early_training_keeps_what_was_trained_and_deletion_removes_it(site):
    training = train(site, "brief", steps=4000)
    eventually(lambda: current(site, training)["step"] >= 2, "the training runs")
    site.client.post(training["url"] + "/finish")
    training = ended(site, training)
    assert (training["state"], training["interrupted"]) == ("succeeded", True)
    assert training["model"]["name"] == "brief"
    assert site.client.delete(training["url"]).json()["model"] is None
    assert not [name for name in lora_files(site) if "brief" in name]
    assert site.client.delete(training["url"]).status_code == 409
