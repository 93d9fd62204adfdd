import copy

import torch
from torch import nn

from demo.muon import Muon, split_parameters


def trained(optimizer_of, model, steps=5):
    """With a layout in memory that a flattened kernel is no view of, as the demo's networks have it."""
    model = copy.deepcopy(model).to(memory_format=torch.channels_last)
    optimizer = optimizer_of(model)
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(4, 8, 6, 6, generator=generator)).square().mean().backward()
        optimizer.step()
    return model


def test_a_kernel_is_optimised_as_the_matrix_that_it_is_for_each_pixel():
    """A convolution of 1 x 1 is a linear layer, which torch's optimizer takes."""
    convolution = nn.Conv2d(8, 16, 1, bias=False)
    expected = nn.Parameter(convolution.weight.detach().flatten(1).clone())
    optimizer = torch.optim.Muon([expected], lr=0.01, weight_decay=0.0)
    generator = torch.Generator().manual_seed(1)
    for _ in range(5):
        optimizer.zero_grad()
        pixels = torch.randn(4, 8, 6, 6, generator=generator)
        torch.einsum("oi,nihw->nohw", expected, pixels).square().mean().backward()
        optimizer.step()
    ours = trained(lambda model: Muon(model.parameters(), lr=0.01), convolution)
    torch.testing.assert_close(ours.weight.flatten(1), expected, atol=2e-3, rtol=0)  # it computes in bfloat16


def test_a_larger_kernel_learns():
    convolution = nn.Conv2d(8, 4, 3, padding=1, bias=False)
    ours = trained(lambda model: Muon(model.parameters(), lr=0.01), convolution, steps=40)
    pixels = torch.randn(4, 8, 6, 6)
    assert ours(pixels).square().mean() < convolution(pixels).square().mean() / 2


def test_the_first_and_last_convolutions_and_vectors_are_left_to_adam():
    model = nn.ModuleDict(
        {"conv_in": nn.Conv2d(1, 2, 3), "middle": nn.Conv2d(2, 2, 3), "conv_out": nn.Conv2d(2, 1, 3)}
    )
    matrices, rest = split_parameters(model)
    assert [tensor.shape for tensor in matrices] == [model["middle"].weight.shape]
    assert len(rest) == 5
