"""Twins of modules: what they share, what is their own, and that neither changes the other."""

import pytest
import torch
from torch import nn

from gpu_runner.networks.module_copies import moved, tiling, with_tensors

pytestmark = pytest.mark.slow


def small_net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2))
    ).requires_grad_(False)


def test_a_twin_with_other_tensors_leaves_the_original_as_it_was():
    net = small_net()
    before = net[1][0].weight.clone()
    twin = with_tensors(net, {"1.0.weight": torch.zeros(2, 2, 3, 3)})
    assert not twin[1][0].weight.any()
    assert torch.equal(net[1][0].weight, before)


def test_a_twin_shares_every_module_off_the_way_to_a_change():
    net = small_net()
    twin = with_tensors(net, {"1.0.weight": torch.zeros(2, 2, 3, 3)})
    assert twin[0] is net[0]
    assert twin[1][1] is net[1][1]
    assert twin[1] is not net[1]
    assert twin[1][0].bias is net[1][0].bias


def test_buffers_change_too():
    net = small_net()
    twin = with_tensors(net, {"1.1.running_mean": torch.ones(2)})
    assert twin[1][1].running_mean.tolist() == [1, 1]
    assert net[1][1].running_mean.tolist() == [0, 0]


def test_a_twin_of_a_twin_leaves_the_first_as_it_was():
    first = with_tensors(small_net(), {"0.bias": torch.ones(2)})
    second = with_tensors(first, {"0.bias": torch.zeros(2)})
    assert first[0].bias.tolist() == [1, 1]
    assert second[0].bias.tolist() == [0, 0]


def test_a_hook_of_a_call_under_way_does_not_stay_in_a_twin():
    net = small_net()
    seen = []
    hook = net[0].register_forward_hook(lambda *_: seen.append("called"))
    twin = with_tensors(net, {"0.bias": torch.zeros(2)})
    hook.remove()
    twin(torch.zeros(1, 1, 4, 4))
    assert not seen


def test_only_the_twin_tiles():
    net = small_net()
    twin = tiling(net)
    assert {twin[0].padding_mode, twin[1][0].padding_mode} == {"circular"}
    assert {net[0].padding_mode, net[1][0].padding_mode} == {"zeros"}


def test_a_moved_twin_owns_every_tensor():
    net = small_net()
    twin = moved(net, torch.device("cpu"))
    shared = {tensor.data_ptr() for tensor in net.state_dict().values()}
    assert not shared & {tensor.data_ptr() for tensor in twin.state_dict().values()}
    assert all(
        torch.equal(one, other)
        for one, other in zip(net.state_dict().values(), twin.state_dict().values(), strict=True)
    )
