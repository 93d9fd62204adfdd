"""Guidance of each call from the texts of a prompt."""

import torch

from gpu_runner.networks.conditioning import Conditioning
from gpu_runner.protocol.prompt.composition import PromptComposition
from gpu_runner.tasks.guidance_schedule import GuidanceSchedule


def conditioning(chunks):
    return Conditioning(torch.arange(chunks * 77 * 4, dtype=torch.float32).reshape(-1, 4))


def guidance_of(prompt, **lengths):
    """Guidance of the first call. ``lengths`` are the chunks of each text."""
    prompts = PromptComposition.of(prompt, "", 10)
    texts = {text: conditioning(lengths.get(text.strip(), 1)) for text in prompts.texts}
    return GuidanceSchedule(prompts, texts, 7.0).at(0)


def test_the_last_state_of_a_shorter_part_is_repeated():
    """As in A1111 for parts joined by AND. The negative prompt keeps its own length."""
    guidance = guidance_of("short AND long :0.5", long=3)
    (short, weight), (long, long_weight) = guidance.positives
    assert (weight, long_weight) == (1.0, 0.5)
    assert len(short.context) == len(long.context) == 3 * 77
    assert torch.equal(short.context[:77], conditioning(1).context)
    assert (short.context[77:] == conditioning(1).context[-1]).all()
    assert torch.equal(long.context, conditioning(3).context)
    assert len(guidance.negative.context) == 77


def test_parts_of_the_same_length_are_unchanged():
    guidance = guidance_of("one AND two", one=2, two=2)
    assert [len(text.context) for text, _weight in guidance.positives] == [154, 154]
    assert torch.equal(guidance.positives[0][0].context, conditioning(2).context)
