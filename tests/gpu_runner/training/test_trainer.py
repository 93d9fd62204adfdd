"""Trainings of the tiny checkpoint with random weights: adapters, files, and resuming."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load

from gpu_runner.models.lora.merge import read_lora
from gpu_runner.models.lora.targets import target_of
from gpu_runner.models.store import ModelStore
from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol.model_detection.usability import inspect
from gpu_runner.training.lora_file import lora_file
from gpu_runner.training.trainer import Trainer
from tests.support.training_jobs import pink_discs, training_request

pytestmark = pytest.mark.slow

STEPS = 6


@pytest.fixture
def checkpoint(tiny_checkpoint) -> LoadedCheckpoint:
    """A new one: a training changes its modules."""
    root, file = tiny_checkpoint
    return ModelStore(root, "cpu", torch.float32, 2**30).checkpoint(file)


def new_trainer(tiny_checkpoint, folder: Path, **training: object) -> Trainer:
    root, file = tiny_checkpoint
    loaded = ModelStore(root, "cpu", torch.float32, 2**30).checkpoint(file)
    files = pink_discs(4, side=64)
    fields = {"steps": STEPS, "batch_size": 2, "learning_rate": 1e-3, **training}
    return Trainer(loaded, training_request(files, side=64, **fields), files, folder)


def trained_file(trainer: Trainer, until: int = STEPS) -> bytes:
    trainer.run(lambda _step, _loss: None, lambda: trainer.state.step >= until)
    tensors = trainer.adapters.state()
    return lora_file(
        trainer.checkpoint,
        trainer.request,
        tensors,
        steps=trainer.state.step,
        base_sha256="ab" * 32,
        date="2026-01-31",
    )


def content(data: bytes) -> tuple[TensorFile, dict[str, str]]:
    tensors = load(data)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    return TensorFile(shapes, header["__metadata__"], tensors), header["__metadata__"]


@pytest.mark.parametrize("text_rate", [0.0, 1e-3])
def test_interrupted_training_gives_the_same_file(tiny_checkpoint, tmp_path, text_rate):
    whole = trained_file(new_trainer(tiny_checkpoint, tmp_path / "a", text_encoder_learning_rate=text_rate))
    trained_file(new_trainer(tiny_checkpoint, tmp_path / "b", text_encoder_learning_rate=text_rate), until=3)
    resumed = new_trainer(tiny_checkpoint, tmp_path / "b", text_encoder_learning_rate=text_rate)
    assert resumed.state.step == 3
    assert trained_file(resumed) == whole


def test_damaged_state_starts_again(tiny_checkpoint, tmp_path):
    whole = trained_file(new_trainer(tiny_checkpoint, tmp_path / "a"))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "state.pt").write_bytes(b"cut off")
    assert trained_file(new_trainer(tiny_checkpoint, tmp_path / "b")) == whole


@pytest.mark.parametrize("text_rate", [0.0, 1e-3])
def test_file_is_a_lora_whose_every_module_is_found(tiny_checkpoint, tmp_path, checkpoint, text_rate):
    data = trained_file(new_trainer(tiny_checkpoint, tmp_path, text_encoder_learning_rate=text_rate))
    file, metadata = content(data)
    identified = inspect(file.shapes, metadata)
    assert (identified.kind, identified.family, identified.problem) == ("lora", "sd15", "")
    lora = read_lora(file, "zorb")
    assert all(target_of(checkpoint, module) for module in lora.modules)
    assert any(name.startswith("lora_te_") for name in file) == bool(text_rate)


def test_metadata_says_how_it_was_trained(tiny_checkpoint, tmp_path):
    _file, metadata = content(trained_file(new_trainer(tiny_checkpoint, tmp_path)))
    told = {
        "modelspec.title": "Zorb",
        "modelspec.trigger_phrase": "zorb",
        "ss_network_dim": "8",
        "ss_steps": "6",
    }
    assert told.items() <= metadata.items()
    assert json.loads(metadata["ss_tag_frequency"]) == {"": {"zorb": 4}}
    assert metadata["ss_new_sd_model_hash"] == "ab" * 32


def test_prior_keeps_the_prediction_for_the_class_prompt(tiny_checkpoint, tmp_path):
    """The prior's term is 0 as long as the adapters change nothing, and pulls against them afterwards."""

    def distance(**training: object) -> float:
        trainer = new_trainer(tiny_checkpoint, tmp_path / str(len(training)), steps=12, **training)
        trained_file(trainer, until=12)
        noisy, times = (
            torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1)),
            torch.tensor([500]),
        )
        with torch.no_grad():
            changed = trainer.predict(["a disc"], noisy, times)
            with trainer.adapters.disabled():
                base = trainer.predict(["a disc"], noisy, times)
        return (changed - base).square().mean().item()

    assert distance(class_prompt="a disc", prior_weight=5.0) < 0.7 * distance()


def test_gradient_checkpointing_gives_the_same_weights(tiny_checkpoint, tmp_path):
    plain = new_trainer(tiny_checkpoint, tmp_path / "a")
    saving = new_trainer(tiny_checkpoint, tmp_path / "b", gradient_checkpointing=True)
    assert content(trained_file(plain))[0].keys() == content(trained_file(saving))[0].keys()
    for name, tensor in plain.adapters.state().items():
        assert torch.allclose(tensor, saving.adapters.state()[name], atol=1e-5), name


def test_learning_rate_that_diverges_is_told(tiny_checkpoint, tmp_path):
    trainer = new_trainer(tiny_checkpoint, tmp_path, steps=60, learning_rate=1.0, alpha=1024.0)
    with pytest.raises(FloatingPointError, match="learning rate is too high"):
        trainer.run(lambda _step, _loss: None, lambda: False)
