"""Images of checkpoints with scaled float8 weights."""

import hashlib

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.model_detection.safetensors_header import read_safetensors_header
from tests.support.demo_engine import DEMO_CHECKPOINT, DEMO_MODELS, Studio, demo_checkpoint
from tests.support.quantized_files import float8_decoded, scaled_float8

pytestmark = pytest.mark.slow
SPELLINGS = ("scale_weight", "comfy_quant", "metadata")


def drawn(root, checkpoint):
    studio = Studio(root, checkpoint)
    try:
        image = studio.draw(
            prompt="a red circle on a blue background", seed=3, num_inference_steps=8, width=128, height=128
        )
    finally:
        studio.close()
    return np.asarray(image, dtype=float)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """The demo checkpoint as it is, in float8 in every spelling, and with the decoded weights in float32."""
    root = tmp_path_factory.mktemp("models")
    tensors = load_file(DEMO_MODELS / DEMO_CHECKPOINT)
    metadata = read_safetensors_header(DEMO_MODELS / DEMO_CHECKPOINT)[1]
    files = {spelling: scaled_float8(tensors, spelling) for spelling in SPELLINGS}
    files["decoded"] = (float8_decoded(files["scale_weight"][0]), {})
    result = {"original": drawn(DEMO_MODELS, demo_checkpoint())}
    for name, (content, more) in files.items():
        save_file(content, root / f"{name}.safetensors", metadata | more)
        data = (root / f"{name}.safetensors").read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        result[name] = drawn(root, ModelFile(path=f"{name}.safetensors", sha256=sha256))
    return result


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_scales_are_multiplied_in(images, spelling):
    assert np.array_equal(images[spelling], images["decoded"])


def test_image_is_that_of_the_checkpoint_within_the_quantization_error(images):
    assert np.abs(images["scale_weight"] - images["original"]).mean() < 2
