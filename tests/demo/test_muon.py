import copy

import torch
from torch import nn

from demo.learning.muon import Muon, split_parameters


def trained(optimizer_of, model, steps=5):
    """Train a copy in channels_last memory format, where a flattened kernel is not a view of the kernel."""
    model = copy.deepcopy(model).to(memory_format=torch.channels_last)
    optimizer = optimizer_of(model)
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(4, 8, 6, 6, generator=generator)).square().mean().backward()
        optimizer.step()
    return model


def test_a_1x1_convolution_is_optimized_like_a_linear_layer():
    """torch.optim.Muon optimizes the equivalent linear layer."""
    convolution = nn.Conv2d(8, 16, 1, bias=False)
    expected = nn.Parameter(convolution.weight.detach().flatten(1).clone())
    optimizer = torch.optim.Muon([expected], lr=0.01, weight_decay=0.0)
    generator = torch.Generator().manual_seed(1)
    for _ in range(5):
        optimizer.zero_grad()
        pixels = torch.randn(4, 8, 6, 6, generator=generator)
        torch.einsum("oi,nihw->nohw", expected, pixels).square().mean().backward()
        optimizer.step()
    trained_model = trained(lambda model: Muon(model.parameters(), lr=0.01), convolution)
    # Muon computes in bfloat16.
    torch.testing.assert_close(trained_model.weight.flatten(1), expected, atol=2e-3, rtol=0)


def test_a_3x3_convolution_is_trained():
    convolution = nn.Conv2d(8, 4, 3, padding=1, bias=False)
    trained_model = trained(lambda model: Muon(model.parameters(), lr=0.01), convolution, steps=40)
    pixels = torch.randn(4, 8, 6, 6)
    assert trained_model(pixels).square().mean() < convolution(pixels).square().mean() / 2


def test_first_and_last_convolutions_and_vectors_use_adam():
    model = nn.ModuleDict(
        {"conv_in": nn.Conv2d(1, 2, 3), "middle": nn.Conv2d(2, 2, 3), "conv_out": nn.Conv2d(2, 1, 3)}
    )
    matrices, rest = split_parameters(model)
    assert [tensor.shape for tensor in matrices] == [model["middle"].weight.shape]
    assert len(rest) == 5
