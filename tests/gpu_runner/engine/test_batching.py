"""Batch selection: which operations share the next device call, and in what order batches are executed."""

import random
from collections import Counter
from dataclasses import dataclass

import pytest
import torch

from gpu_runner.engine.batching import CPU_LIMITS, MAX_TURNS_WAITED, Limits, choose
from gpu_runner.networks.conditioning import Conditioning, TextEncodingOptions
from gpu_runner.networks.diffusion.guidance import DenoiseInput, Guidance
from gpu_runner.networks.operations import DecodeLatent, Denoise, EncodeText, Operation
from gpu_runner.protocol.families.family import Family
from gpu_runner.protocol.families.stable_diffusion import SD15


@dataclass(eq=False)
class Waiting:
    operation: Operation
    since: int = 0


@dataclass
class Model:
    unet_key: str
    vae_key: str = "a"
    text_key: str = "a"
    facts: Family = SD15


MODEL = Model("a")


def step(side=8, tokens=77, scale=7.0, parts=1, model=MODEL):
    text = Conditioning(torch.zeros(tokens, 4))
    guidance = Guidance(((text, 1.0),) * parts, text, scale)
    return Denoise(model, DenoiseInput(torch.zeros(4, side, side), 1.0, 100.0, guidance))


def decode():
    return DecodeLatent(MODEL, torch.zeros(4, 8, 8))


def chosen(*images, limits=CPU_LIMITS, turn=0, steps_are_due=False):
    return choose(images, limits, turn=turn, steps_are_due=steps_are_due)


def test_steps_of_different_guidance_scales_share_a_batch():
    one, other = Waiting(step(scale=1.0)), Waiting(step(scale=9.0))
    assert chosen(one, other) == [one, other]


def test_steps_of_different_sizes_or_checkpoints_do_not_share_a_batch():
    images = [
        Waiting(step()),
        Waiting(step(side=16)),
        Waiting(step(model=Model("b"))),
    ]
    assert len(chosen(*images)) == 1


def test_the_batch_with_the_most_rows_goes_first():
    alone, pair = Waiting(step(side=16)), [Waiting(step(), since=1), Waiting(step(), since=1)]
    assert chosen(alone, *pair, turn=2) == pair
    composed = Waiting(step(side=24, parts=4), since=1)
    assert chosen(alone, *pair, composed, turn=2) == [composed], "rows count, not images"


def test_among_batches_of_equal_size_the_oldest_goes_first():
    younger, older = Waiting(step(), since=2), Waiting(step(side=16), since=1)
    assert chosen(younger, older, turn=3) == [older]


def test_an_image_that_waited_max_turns_goes_before_larger_batches():
    alone, pair = Waiting(step(side=16), since=1), [Waiting(step(), since=2), Waiting(step(), since=2)]
    assert chosen(alone, *pair, turn=MAX_TURNS_WAITED) == pair
    assert chosen(alone, *pair, turn=MAX_TURNS_WAITED + 1) == [alone]


def run_turns(images, turns, text_encodings=0):
    """Run turns in which each image requests its next operation at once. Returns the batch of each turn as (image, turns waited)."""
    steps_are_due, history = False, []
    for turn in range(1, turns + 1):
        texts = [
            Waiting(EncodeText(MODEL, ("a",), TextEncodingOptions()), since=turn)
            for _ in range(text_encodings)
        ]
        batch = choose([*images, *texts], LIMITS, turn=turn, steps_are_due=steps_are_due)
        steps_are_due = not isinstance(batch[0].operation, Denoise)
        history.append([(image, turn - image.since) for image in batch])
        for image in batch:
            image.since = turn
    return history


LIMITS = Limits(rows=16, row_area=10**6, vae_area=64)


def calls_needed(images):
    """Number of calls that execute one operation of each image."""
    return sum(
        -(-count // (LIMITS.rows // 2))
        for count in Counter(p.operation.input.x.shape for p in images).values()
    )


@pytest.mark.parametrize("text_encodings", [0, 3])
@pytest.mark.parametrize("seed", range(6))
def test_no_step_waits_longer_than_documented(seed, text_encodings):
    generator = random.Random(seed)
    images = [
        Waiting(step(side=generator.choice([8, 8, 8, 16, 24, 32]))) for _ in range(generator.randint(2, 40))
    ]
    waits = [
        wait for batch in run_turns(images, 100, text_encodings) for image, wait in batch if image in images
    ]
    assert max(waits) <= MAX_TURNS_WAITED + 2 * calls_needed(images)
    assert all(image.since > 100 - MAX_TURNS_WAITED - 2 * calls_needed(images) for image in images)


def test_most_batches_are_full_while_a_single_image_of_another_size_progresses():
    group, alone = [Waiting(step()) for _ in range(8)], Waiting(step(side=16))
    history = run_turns([*group, alone], 100)
    assert Counter(len(batch) for batch in history) == {8: 75, 1: 25}, (
        "one call in MAX_TURNS_WAITED is of the single image"
    )


def test_text_encoding_and_decoding_go_before_steps_but_not_twice_in_a_row():
    denoising, decoding = Waiting(step()), Waiting(decode())
    assert chosen(denoising, decoding) == [decoding]
    assert chosen(denoising, decoding, steps_are_due=True) == [denoising]
    assert chosen(decoding, steps_are_due=True) == [decoding]


def test_texts_with_equal_options_are_encoded_in_one_batch():
    images = [
        Waiting(EncodeText(MODEL, ("a", ""), TextEncodingOptions())),
        Waiting(EncodeText(MODEL, ("b", ""), TextEncodingOptions())),
        Waiting(EncodeText(MODEL, ("b", ""), TextEncodingOptions(clip_skip=2))),
    ]
    assert chosen(*images) == images[:2]


def test_contexts_of_different_lengths_share_a_batch_while_their_common_length_is_short():
    short, double, triple, five = (Waiting(step(tokens=77 * chunks)) for chunks in (1, 2, 3, 5))
    assert chosen(short, double, triple) == [short, double, triple]
    assert chosen(double, triple, five) == [double, triple]
    assert chosen(short, five, double) == [short, five, double]


def test_every_row_of_a_composed_prompt_counts_towards_the_limit():
    images = [Waiting(step(parts=3)) for _ in range(3)]
    assert len(chosen(*images, limits=Limits(rows=8, row_area=10**6, vae_area=64))) == 2


def test_a_batch_is_limited_in_rows_and_filled_oldest_first():
    images = [Waiting(step(), since=turn) for turn in (3, 1, 2)]
    limits = Limits(rows=4, row_area=10**6, vae_area=64)
    assert [image.since for image in chosen(*images, limits=limits)] == [1, 2]


def test_large_images_get_smaller_batches():
    limits = Limits(rows=16, row_area=4 * 64 * 64, vae_area=64)
    assert len(chosen(*[Waiting(step(side=64)) for _ in range(5)], limits=limits)) == 2


def test_a_single_operation_is_admitted_whatever_its_size():
    limits = Limits(rows=16, row_area=1, vae_area=1)
    assert len(chosen(Waiting(step(side=64)), limits=limits)) == 1
    assert len(chosen(Waiting(decode()), limits=limits)) == 1


def test_limits_are_lowered_after_running_out_of_memory():
    operations = [step() for _ in range(4)]
    images = [Waiting(operation) for operation in operations]
    assert len(chosen(*images, limits=CPU_LIMITS.below(operations))) == 2
