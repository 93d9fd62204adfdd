"""Options for the speed of a device are checked before the runner starts."""

import pytest
import torch
from torch.nn import functional

from gpu_runner.engine import speed_options
from gpu_runner.engine.command import parse
from gpu_runner.models.devices import DeviceUnavailable
from gpu_runner.models.store import ModelStore
from gpu_runner.networks.compilation.attention import BACKENDS, attention_backend

CPU = torch.device("cpu")


@pytest.fixture
def options(monkeypatch):
    """Options of a runner with these environment variables."""
    monkeypatch.setenv("RUNNER_TOKEN", "token")

    def parsed(**environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return parse([])

    return parsed


def test_everything_is_off_by_default(options) -> None:
    parsed = options()
    assert (parsed.torch_compile, parsed.attention_backend, parsed.weight_storage) == (
        "off",
        "native",
        "full",
    )


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"TORCH_COMPILE": "max"}, "TORCH_COMPILE must be off or regional"),
        ({"ATTENTION_BACKEND": "sage"}, "ATTENTION_BACKEND must be one of native, flash, cudnn"),
        ({"ATTENTION_BACKEND": "cudnn"}, "ATTENTION_BACKEND=cudnn needs a GPU"),
        ({"WEIGHT_STORAGE": "int8"}, "WEIGHT_STORAGE must be full or float8"),
        ({"TORCH_COMPILE": "regional", "CXX": "/no/compiler"}, "needs a C"),
    ],
    ids=["compile", "attention", "cudnn without a GPU", "storage", "no compiler"],
)
def test_values_that_cannot_be_used_are_refused_by_name(options, environment, message) -> None:
    with pytest.raises(DeviceUnavailable, match=message):
        speed_options.prepare(options(**environment), CPU)


def test_checkpoint_that_is_missing_does_not_stop_the_runner(options, tmp_path, caplog) -> None:
    parsed = options(
        TORCH_COMPILE="regional", TORCH_COMPILE_MODELS="checkpoints/no.safetensors", MODELS_ROOT=str(tmp_path)
    )
    speed_options.warm_up(parsed, ModelStore(tmp_path, "cpu", torch.float32, 2**20))
    assert "checkpoints/no.safetensors is missing" in caplog.text


@pytest.mark.parametrize("name", [name for name in BACKENDS if name != "cudnn"])
def test_attention_with_a_mask_works_with_every_implementation(name) -> None:
    torch.manual_seed(0)
    query = torch.randn(1, 2, 6, 8)
    mask = torch.ones(6, 6, dtype=torch.bool).tril()
    expected = functional.scaled_dot_product_attention(query, query, query, attn_mask=mask)
    before = torch.backends.cuda.cudnn_sdp_enabled()
    with attention_backend(name):
        found = functional.scaled_dot_product_attention(query, query, query, attn_mask=mask)
        assert torch.backends.cuda.cudnn_sdp_enabled() == (before and name == "native")
    assert torch.backends.cuda.cudnn_sdp_enabled() == before
    torch.testing.assert_close(found, expected)
