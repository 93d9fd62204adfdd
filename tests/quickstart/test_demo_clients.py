"""Demo data for the example requests of the dialects."""

import hashlib
import json
from pathlib import Path

import pytest

from dialects.zhiqite.request.common import vae
from models_registry.models import FOLDERS, Family, Kind, ModelFile
from models_registry.selectors import control_model, resolve
from quickstart import demo_clients

SEED = Path(__file__).parents[1] / "dialects" / "zhiqite" / "seed_example.json"


@pytest.fixture
def demo_models(db) -> None:
    for kind, name in [*demo_clients.ALIASES, (Kind.VAE, "atelier-sepia")]:
        path = f"{FOLDERS[kind]}/{name}.safetensors"
        digest = hashlib.sha256(path.encode()).hexdigest()
        ModelFile.objects.create(kind=kind, family=Family.SD15, name=name, path=path, sha256=digest)


def test_models_of_zhiqites_example_request_are_available(demo_models, source):
    demo_clients.prepare("http://testserver")
    scripts = json.loads(SEED.read_text())["alwayson_scripts"]
    assert resolve(Kind.CHECKPOINT, scripts["sd_model_checkpoint"], source).name == "atelier-shapes"
    assert vae(scripts["sd_vae"], source)[0] == ""  # the checkpoint's own, not the sepia one
    (unit,) = scripts["controlnet"]["args"]
    assert control_model(unit["model"], source).name == "atelier-canny"
