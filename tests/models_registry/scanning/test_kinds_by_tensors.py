"""The kind of a file follows from its tensors, whatever folder it is in."""

import pytest

from models_registry.models import FOLDERS, Kind, ModelFile
from models_registry.scanning.scan import scan
from models_registry.selectors import list_for
from tests.support.flow_models import write_chroma, write_schnell


@pytest.fixture
def root(tmp_path):
    for folder in FOLDERS.values():
        (tmp_path / folder).mkdir()
    return tmp_path


def test_files_of_a_fleet_in_the_wrong_folders_are_found_and_joined(root, db):
    """T5 among the checkpoints, transformers among the diffusion models and the LoRAs."""
    write_schnell(root)
    write_chroma(root)
    places = {
        "f-t5": "checkpoints",
        "f-clip": "loras",
        "f-vae": "text_encoders",
        "schnell": "diffusion_models",
    }
    for name, folder in (places | {"chroma": "loras"}).items():
        (root / f"{name}.safetensors").rename(root / folder / f"{name}.safetensors")
    assert not scan(root).problems
    kinds = dict(ModelFile.objects.values_list("name", "kind"))
    assert kinds == {
        "f-t5": Kind.TEXT_ENCODER,
        "f-clip": Kind.TEXT_ENCODER,
        "f-vae": Kind.VAE,
        "schnell": Kind.CHECKPOINT,
        "chroma": Kind.CHECKPOINT,
    }
    schnell = ModelFile.objects.get(name="schnell")
    assert (schnell.vae_file.name, schnell.default_steps, schnell.default_guidance_scale) == ("f-vae", 4, 1.0)
    assert {file.name for file in schnell.text_encoder_files.all()} == {"f-t5", "f-clip"}
    chroma = ModelFile.objects.get(name="chroma")
    assert [file.name for file in chroma.text_encoder_files.all()] == ["f-t5"]


def test_transformer_in_a_folder_of_comfyui_is_there_for_its_servers_too(source):
    row = {"kind": Kind.CHECKPOINT, "path": "diffusion_models/flux.safetensors", "name": "flux"}
    flux = ModelFile.objects.create(**row)
    flux.runners.create(name="comfy", url="http://127.0.0.1:1")
    assert list(list_for(Kind.DIFFUSION_MODEL, source, on_runners=True)) == [flux]
    assert not list_for(Kind.CHECKPOINT, source, on_runners=True)
    assert list(list_for(Kind.CHECKPOINT, source)) == [flux]
