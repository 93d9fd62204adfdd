"""Copy-on-write copies of modules: what they share with the original, and what they own."""

import pytest
import torch
from torch import nn

from gpu_runner.networks.module_copies import moved, tiling, with_tensors

pytestmark = pytest.mark.slow


def small_net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2))
    ).requires_grad_(False)


def test_replacing_a_tensor_does_not_change_the_original():
    net = small_net()
    before = net[1][0].weight.clone()
    clone = with_tensors(net, {"1.0.weight": torch.zeros(2, 2, 3, 3)})
    assert not clone[1][0].weight.any()
    assert torch.equal(net[1][0].weight, before)


def test_a_copy_shares_every_module_that_is_not_on_the_path_to_a_change():
    net = small_net()
    clone = with_tensors(net, {"1.0.weight": torch.zeros(2, 2, 3, 3)})
    assert clone[0] is net[0]
    assert clone[1][1] is net[1][1]
    assert clone[1] is not net[1]
    assert clone[1][0].bias is net[1][0].bias


def test_buffers_can_be_replaced():
    net = small_net()
    clone = with_tensors(net, {"1.1.running_mean": torch.ones(2)})
    assert clone[1][1].running_mean.tolist() == [1, 1]
    assert net[1][1].running_mean.tolist() == [0, 0]


def test_a_copy_of_a_copy_does_not_change_the_first():
    first = with_tensors(small_net(), {"0.bias": torch.ones(2)})
    second = with_tensors(first, {"0.bias": torch.zeros(2)})
    assert first[0].bias.tolist() == [1, 1]
    assert second[0].bias.tolist() == [0, 0]


def test_a_hook_that_is_registered_while_copying_does_not_stay_in_the_copy():
    net = small_net()
    seen = []
    hook = net[0].register_forward_hook(lambda *_: seen.append("called"))
    clone = with_tensors(net, {"0.bias": torch.zeros(2)})
    hook.remove()
    clone(torch.zeros(1, 1, 4, 4))
    assert not seen


def test_tiling_does_not_change_the_original():
    net = small_net()
    clone = tiling(net)
    assert {clone[0].padding_mode, clone[1][0].padding_mode} == {"circular"}
    assert {net[0].padding_mode, net[1][0].padding_mode} == {"zeros"}


def test_a_moved_copy_owns_every_tensor():
    net = small_net()
    clone = moved(net, torch.device("cpu"))
    shared = {tensor.data_ptr() for tensor in net.state_dict().values()}
    assert not shared & {tensor.data_ptr() for tensor in clone.state_dict().values()}
    assert all(
        torch.equal(one, other)
        for one, other in zip(net.state_dict().values(), clone.state_dict().values(), strict=True)
    )
