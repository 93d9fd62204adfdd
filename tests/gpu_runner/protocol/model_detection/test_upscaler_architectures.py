"""The scan's table of upscaler architectures: what spandrel builds, and nothing else."""

import json
from pathlib import Path

from gpu_runner.models.loaders.spandrel import EXCLUDED
from gpu_runner.protocol.model_detection import upscaler_architectures
from tests.support.upscaler_files import esrgan, sharpener
from tests.support.upscaler_table import table


def test_the_table_is_that_of_the_installed_spandrel():
    stored = Path(upscaler_architectures.__file__).with_suffix(".json")
    known = json.loads(stored.read_text())
    assert known == table(), "run python -m tests.support.upscaler_table"
    assert not known.keys() & set(EXCLUDED)


def test_networks_are_recognized_and_others_are_not():
    assert upscaler_architectures.architecture_of(esrgan().state_dict().keys()) == "ESRGAN"
    assert upscaler_architectures.architecture_of(sharpener().state_dict().keys()) == "Compact"
    assert not upscaler_architectures.architecture_of(["conv_first.weight", "tail.weight"])
