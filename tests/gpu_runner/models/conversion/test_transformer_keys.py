"""Transformers in the layouts of their authors and of diffusers: released sizes by name and shape, tiny ones by value."""

import pytest
import torch
from diffusers.loaders import single_file_utils

from demo.flow_matching.original_layout import original_layout
from gpu_runner.models.conversion.transformer_keys import from_diffusers, to_diffusers
from gpu_runner.protocol.model_detection.transformers.recognition import find_transformer
from tests.support.transformer_files import RELEASED, TINY, build, released, tiny

PREFIXES = ["", "model.diffusion_model.", "diffusion_model.", "transformer."]
# diffusers' own converters write the sizes of the released FLUX.1 and Chroma in.
REFERENCE = {
    "sd3": "convert_sd3_transformer_checkpoint_to_diffusers",
    "z_image": "convert_z_image_transformer_checkpoint_to_diffusers",
    "flux1": "convert_flux_transformer_checkpoint_to_diffusers",
    "chroma": "convert_chroma_transformer_checkpoint_to_diffusers",
    "flux2": "convert_flux2_transformer_checkpoint_to_diffusers",
}
ANY_SIZE = ["sd3", "z_image", "flux2"]


def shapes_of(state):
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def reference(family, tensors):
    return getattr(single_file_utils, REFERENCE[family])(dict(tensors))


@pytest.mark.slow
@pytest.mark.parametrize("name", RELEASED)
def test_every_tensor_of_a_released_model_has_its_place(name):
    family, state = released(name)
    wanted = shapes_of(state)
    for layout, tensors in (("diffusers", state), ("original", original_layout(family, state))):
        if layout == "original" and family == "qwen_image":
            continue
        found = find_transformer(shapes_of(tensors))
        assert (found.transformer.family, found.layout, found.prefix) == (family, layout, "")
        conversion = found.conversion
        assert (conversion.missing, conversion.unexpected) == ((), ())
        assert conversion.shapes == wanted
        assert shapes_of(build(family, found.config()).state_dict()) == wanted


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name, (family, _config) in RELEASED.items() if family in REFERENCE]
)
def test_names_are_those_that_diffusers_converts(name):
    family, state = released(name)
    assert shapes_of(reference(family, original_layout(family, state))) == shapes_of(state)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("family", TINY)
def test_layout_is_recognized_with_every_prefix(family, prefix):
    state = tiny(family).state_dict()
    for tensors in (state, original_layout(family, state)):
        found = find_transformer({f"{prefix}{name}": tuple(tensor.shape) for name, tensor in tensors.items()})
        assert (found.transformer.family, found.prefix) == (family, prefix)
        assert not found.conversion.missing


@pytest.mark.parametrize("family", TINY)
def test_weights_survive_the_round_trip_from_a_file_and_back(family):
    state = tiny(family).state_dict()
    file = original_layout(family, state, "model.diffusion_model.")
    conversion = find_transformer(shapes_of(file)).conversion
    assert_equal(to_diffusers(file, conversion), state)
    assert_equal(from_diffusers(state, conversion), file)


@pytest.mark.parametrize("family", ANY_SIZE)
def test_weights_are_those_that_diffusers_converts(family):
    file = original_layout(family, tiny(family, seed=1).state_dict())
    conversion = find_transformer(shapes_of(file)).conversion
    assert_equal(to_diffusers(file, conversion), reference(family, file))


@pytest.mark.parametrize("family", TINY)
def test_configuration_of_a_tiny_model_follows_from_its_shapes(family):
    state = tiny(family).state_dict()
    config = find_transformer(shapes_of(original_layout(family, state))).config()
    model = build(family, config)
    assert shapes_of(model.state_dict()) == shapes_of(state)
    for name in ("axes_dims_rope", "axes_dims", "num_attention_heads", "n_heads"):
        if name in TINY[family]:
            assert config[name] == TINY[family][name]


def assert_equal(found, wanted):
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
