"""Model store: loading of single-file checkpoints, verification of hashes, and the cache."""

import hashlib
import json
import os
import pickle
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from demo.architectures.random_models import transformers_to_open_clip, write_family
from gpu_runner.models.store import ModelStore
from gpu_runner.models.variant import Variant
from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.prompt.tokenizer import clip_tokenizer
from tests.support.tiny_models import OVERRIDES, random_modules, single_file_tensors, write_checkpoint

pytestmark = pytest.mark.slow

UNLIMITED = 2**34


def store_of(root, budget=UNLIMITED, dtype=torch.float16):
    return ModelStore(root, "cpu", dtype, budget)


def registered(root, path):
    return ModelFile(path=path, sha256=hashlib.sha256((root / path).read_bytes()).hexdigest())


@pytest.fixture(scope="session")
def other_checkpoint(tiny_checkpoint):
    root, _file = tiny_checkpoint
    return write_checkpoint(
        root, "checkpoints/other.safetensors", single_file_tensors(random_modules(seed=2))
    )


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_loaded_weights_equal_the_saved_ones(tiny_checkpoint, tiny_modules, part):
    root, file = tiny_checkpoint
    loaded = getattr(store_of(root).get(file), part)
    original = getattr(tiny_modules, part).state_dict()
    assert loaded.state_dict().keys() == original.keys()
    assert all(torch.equal(tensor, original[name]) for name, tensor in loaded.state_dict().items())
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_a_loaded_unet_gives_the_same_output_as_the_original(tiny_checkpoint, tiny_modules):
    root, file = tiny_checkpoint
    loaded = store_of(root, dtype=torch.float32).get(file)
    latent, states = torch.randn(2, 4, 16, 16), torch.randn(2, 77, 64)
    reference = random_modules(seed=1).unet.float()
    assert torch.allclose(
        loaded.unet(latent, 3, states).sample, reference(latent, 3, states).sample, atol=1e-5
    )


def test_a_checkpoint_has_its_family_prediction_type_and_noise_schedule(tiny_checkpoint):
    root, file = tiny_checkpoint
    checkpoint = store_of(root).get(file)
    assert (checkpoint.key, checkpoint.family, checkpoint.prediction_type) == (file.sha256, "sd15", "epsilon")
    assert checkpoint.vae_scaling == 0.18215
    assert clip_tokenizer().encode("cat") == [2368]
    assert checkpoint.alphas_cumprod.shape == (1000,)
    assert checkpoint.alphas_cumprod.dtype == torch.float64
    assert checkpoint.alphas_cumprod[0] == pytest.approx(0.99915)
    assert checkpoint.alphas_cumprod[-1] == pytest.approx(0.00466, abs=1e-5)


def open_clip_tensors(encoder):
    """A text encoder in the OpenCLIP layout, with the last layer, which Stable Diffusion 2 does not use."""
    state = encoder.state_dict()
    state |= {name.replace("layers.1.", "layers.2."): state[name] for name in state if "layers.1." in name}
    tensors = transformers_to_open_clip(state, "cond_stage_model.model.", layers=3)
    return {name: tensor.clone() for name, tensor in tensors.items()}


def test_stable_diffusion_2_uses_the_penultimate_layer(tmp_path, tiny_modules):
    tensors = {name: t for name, t in single_file_tensors(tiny_modules).items() if "cond_stage" not in name}
    file = write_checkpoint(tmp_path, "a.safetensors", tensors | open_clip_tensors(tiny_modules.text_encoder))
    checkpoint = store_of(tmp_path).get(file)
    original = tiny_modules.text_encoder.state_dict()
    assert checkpoint.family == "sd2"
    assert checkpoint.text_encoder.config.hidden_act == "gelu"
    assert checkpoint.text_encoder.config.pad_token_id == 0
    assert all(torch.equal(t, original[name]) for name, t in checkpoint.text_encoder.state_dict().items())


def test_v_prediction_may_be_declared_by_the_metadata(tiny_checkpoint, tiny_modules):
    root, _file = tiny_checkpoint
    tensors = single_file_tensors(tiny_modules)
    file = write_checkpoint(root, "v.safetensors", tensors, **{"modelspec.prediction_type": "v"})
    assert store_of(root).get(file).prediction_type == "v_prediction"


@pytest.mark.parametrize("wrapped", [True, False])
def test_pickled_checkpoints_are_loaded(tmp_path, tiny_modules, wrapped):
    tensors = single_file_tensors(tiny_modules)
    content = {"state_dict": tensors, "global_step": 3} if wrapped else tensors
    torch.save({**content, "atelier.config": json.dumps(OVERRIDES)}, tmp_path / "a.ckpt")
    loaded = store_of(tmp_path).get(registered(tmp_path, "a.ckpt"))
    assert torch.equal(loaded.unet.conv_in.weight, tiny_modules.unet.conv_in.weight)


def test_a_vae_whose_groups_the_file_does_not_say_is_left_out(tmp_path, tiny_modules):
    torch.save(single_file_tensors(tiny_modules), tmp_path / "a.ckpt")  # without atelier.config
    assert not store_of(tmp_path).get(registered(tmp_path, "a.ckpt")).has_vae


def test_a_pickle_with_code_is_rejected_and_not_executed(tmp_path):
    class Malicious:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    (tmp_path / "a.ckpt").write_bytes(pickle.dumps({"state_dict": Malicious()}))
    torch.save({"state_dict": Malicious()}, tmp_path / "b.pt")
    for path in ("a.ckpt", "b.pt"):
        with pytest.raises(ModelUnavailable, match="damaged, or contains objects other than tensors"):
            store_of(tmp_path).get(registered(tmp_path, path))
    assert not (tmp_path / "executed").exists()


def test_a_missing_file_is_unavailable(tmp_path):
    with pytest.raises(ModelUnavailable, match=r"checkpoints/a\.safetensors is missing"):
        store_of(tmp_path).get(ModelFile(path="checkpoints/a.safetensors", sha256="0" * 64))


def test_a_file_with_another_hash_is_rejected(tiny_checkpoint):
    root, file = tiny_checkpoint
    with pytest.raises(ModelUnavailable, match="has changed"):
        store_of(root).get(ModelFile(path=file.path, sha256="0" * 64))


def test_a_file_replaced_after_hashing_is_rejected(tmp_path, tiny_modules):
    file = write_checkpoint(tmp_path, "a.safetensors", single_file_tensors(tiny_modules))
    store = store_of(tmp_path, budget=0)
    store.get(file)
    other = write_checkpoint(tmp_path, "b.safetensors", single_file_tensors(tiny_modules), note="another")
    store.get(other)
    os.replace(tmp_path / "b.safetensors", tmp_path / "a.safetensors")
    with pytest.raises(ModelUnavailable, match="has changed"):
        store.get(file)


def test_a_symlink_out_of_the_root_is_rejected(tmp_path, tiny_checkpoint):
    root, file = tiny_checkpoint
    (tmp_path / "link.safetensors").symlink_to(root / file.path)
    with pytest.raises(ModelUnavailable, match="inside the models folder"):
        store_of(tmp_path).get(ModelFile(path="link.safetensors", sha256=file.sha256))


def test_a_symlink_inside_the_root_is_followed(tiny_checkpoint):
    root, file = tiny_checkpoint
    (root / "link.safetensors").symlink_to(root / file.path)
    assert store_of(root).get(ModelFile(path="link.safetensors", sha256=file.sha256)).family == "sd15"


def test_the_error_for_a_damaged_file_does_not_reveal_folders(tmp_path, tiny_checkpoint):
    root, file = tiny_checkpoint
    (tmp_path / "a.safetensors").write_bytes((root / file.path).read_bytes()[:-100])
    with pytest.raises(ModelUnavailable) as raised:
        store_of(tmp_path).get(registered(tmp_path, "a.safetensors"))
    assert "file not fully covered" in str(raised.value)
    assert str(tmp_path) not in str(raised.value)


def test_a_file_of_another_kind_is_rejected(tmp_path):
    file = write_checkpoint(tmp_path, "a.safetensors", {"emb_params": torch.zeros(2, 768)})
    with pytest.raises(ModelUnavailable, match="not a checkpoint"):
        store_of(tmp_path).get(file)


def test_an_unsupported_family_is_rejected(tmp_path, tiny_modules):
    tensors = {name: t for name, t in single_file_tensors(tiny_modules).items() if "cond_stage" not in name}
    with pytest.raises(ModelUnavailable, match="it has no text encoder"):
        store_of(tmp_path).get(write_checkpoint(tmp_path, "a.safetensors", tensors))


@pytest.mark.parametrize(
    "missing",
    [
        "model.diffusion_model.time_embed.0.weight",
        "cond_stage_model.transformer.text_model.final_layer_norm.weight",
    ],
)
def test_a_missing_tensor_is_named(tmp_path, tiny_modules, missing):
    tensors = single_file_tensors(tiny_modules)
    del tensors[missing]
    with pytest.raises(ModelUnavailable, match="missing tensor"):
        store_of(tmp_path).get(write_checkpoint(tmp_path, "a.safetensors", tensors))


@pytest.mark.parametrize("missing", ["first_stage_model.", "first_stage_model.quant_conv.bias"])
def test_a_checkpoint_without_a_whole_vae_is_loaded_without_it(tmp_path, tiny_modules, missing):
    tensors = {n: t for n, t in single_file_tensors(tiny_modules).items() if not n.startswith(missing)}
    store = store_of(tmp_path)
    file = write_checkpoint(tmp_path, "a.safetensors", tensors)
    assert not store.get(file).has_vae
    whole = write_checkpoint(tmp_path, "b.safetensors", single_file_tensors(tiny_modules))
    variant = store.get(file, Variant(vae=whole))
    expected = store.get(whole)
    assert variant.has_vae
    assert variant.vae_scaling == expected.vae_scaling
    for name, tensor in variant.vae.state_dict().items():
        assert torch.equal(tensor, expected.vae.state_dict()[name])


def test_concurrent_requests_load_a_checkpoint_once(tiny_checkpoint):
    root, file = tiny_checkpoint
    store = store_of(root)
    with ThreadPoolExecutor(4) as threads:
        loaded = list(threads.map(lambda _: store.get(file), range(4)))
    assert all(checkpoint is loaded[0] for checkpoint in loaded)


def test_the_least_recently_used_checkpoint_is_evicted_and_freed(tiny_checkpoint, other_checkpoint):
    root, file = tiny_checkpoint
    store = store_of(root)
    size = store.get(file).size_bytes
    small = store_of(root, budget=int(size * 1.5))
    checkpoint = small.get(file)
    references = [weakref.ref(checkpoint), *(weakref.ref(module) for module in checkpoint.unet.modules())]
    references += [weakref.ref(parameter) for parameter in checkpoint.vae.parameters()]
    del checkpoint
    small.get(other_checkpoint)
    assert [reference() for reference in references if reference() is not None] == []
    assert [model.sha256 for model in small.loaded()] == [other_checkpoint.sha256]


def test_checkpoints_within_the_budget_stay_cached(tiny_checkpoint, other_checkpoint):
    root, file = tiny_checkpoint
    store = store_of(root)
    first = store.get(file)
    store.get(other_checkpoint)
    assert store.get(file) is first
    assert [model.path for model in store.loaded()] == [other_checkpoint.path, file.path]
    assert store.loaded()[1].size_bytes == sum(
        p.numel() * 2 for m in (first.unet, first.vae, first.text_encoder) for p in m.parameters()
    )


def test_training_settings_of_the_registry_override_the_defaults(tiny_checkpoint):
    root, file = tiny_checkpoint
    store = store_of(root)
    overridden = file.model_copy(update={"prediction_type": "v_prediction", "zero_terminal_snr": True})
    plain, changed = store.get(file), store.get(overridden)
    assert (plain.prediction_type, changed.prediction_type) == ("epsilon", "v_prediction")
    assert plain.alphas_cumprod[-1] > 0.004 > 1e-7 > changed.alphas_cumprod[-1]
    assert plain.key != changed.key, "different keys, so that they are not batched together"
    assert store.get(file) is plain


def test_training_settings_of_the_registry_override_those_of_the_file(tiny_checkpoint, tiny_modules):
    root, _file = tiny_checkpoint
    tensors = single_file_tensors(tiny_modules) | {"v_pred": torch.zeros(1), "ztsnr": torch.zeros(1)}
    file = write_checkpoint(root, "marked.safetensors", tensors)
    declared = store_of(root).get(file)
    assert (declared.prediction_type, float(declared.alphas_cumprod[-1])) == (
        "v_prediction",
        pytest.approx(4.9e-8, 0.1),
    )
    overridden = file.model_copy(update={"prediction_type": "epsilon", "zero_terminal_snr": False})
    loaded = store_of(root).get(overridden)
    assert (loaded.prediction_type, float(loaded.alphas_cumprod[-1])) == (
        "epsilon",
        pytest.approx(0.00466, 0.01),
    )


@pytest.mark.parametrize(("bias", "expected"), [(0.5, "epsilon"), (-2.0, "v_prediction")])
def test_the_prediction_type_of_stable_diffusion_2_is_detected_by_a_test_call(tmp_path, bias, expected):
    """A UNet that returns its input predicts noise; one that returns a much smaller mean predicts the velocity."""
    path = tmp_path / "sd2.safetensors"
    write_family("sd2", path, tiny=True)
    tensors = load_file(path)
    tensors["model.diffusion_model.out.2.weight"].zero_()
    tensors["model.diffusion_model.out.2.bias"].fill_(bias)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file(tensors, path, metadata)
    file = registered(tmp_path, "sd2.safetensors")
    assert store_of(tmp_path, dtype=torch.float32).get(file).prediction_type == expected
    overridden = file.model_copy(update={"prediction_type": "epsilon"})
    assert store_of(tmp_path, dtype=torch.float32).get(overridden).prediction_type == "epsilon"


@pytest.mark.parametrize("ram", [0, UNLIMITED])
def test_load_time_of_a_checkpoint_is_reported(tiny_checkpoint, ram):
    root, file = tiny_checkpoint
    store = ModelStore(root, "cpu", torch.float16, UNLIMITED, ram)
    store.get(file)
    assert all(model.load_seconds > 0 for model in store.loaded())
    assert store.loaded()
