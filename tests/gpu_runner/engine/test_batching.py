"""Who shares the next call."""

import random
from collections import Counter
from dataclasses import dataclass

import pytest
import torch

from gpu_runner.engine.batching import CPU_LIMITS, MAX_TURNS_WAITED, Limits, choose
from gpu_runner.networks.conditioning import Conditioning, TextEncodingOptions
from gpu_runner.networks.diffusion.guidance import DenoiseInput, Guidance
from gpu_runner.networks.operations import DecodeLatent, Denoise, EncodeText, Operation


@dataclass(eq=False)
class Waiting:
    ask: Operation
    since: int = 0


@dataclass
class Model:
    unet_key: str
    vae_key: str = "a"
    text_key: str = "a"


MODEL = Model("a")


def step(side=8, tokens=77, scale=7.0, parts=1, model=MODEL):
    text = Conditioning(torch.zeros(tokens, 4))
    guidance = Guidance(((text, 1.0),) * parts, text, scale)
    return Denoise(model, DenoiseInput(torch.zeros(4, side, side), 1.0, 100.0, guidance))


def decode():
    return DecodeLatent(MODEL, torch.zeros(4, 8, 8))


def chosen(*pictures, limits=CPU_LIMITS, turn=0, steps_are_due=False):
    return choose(pictures, limits, turn=turn, steps_are_due=steps_are_due)


def test_different_scales_share_a_call():
    one, other = Waiting(step(scale=1.0)), Waiting(step(scale=9.0))
    assert chosen(one, other) == [one, other]


def test_other_sizes_and_checkpoints_do_not():
    pictures = [
        Waiting(step()),
        Waiting(step(side=16)),
        Waiting(step(model=Model("b"))),
    ]
    assert len(chosen(*pictures)) == 1


def test_the_fullest_call_goes_first():
    alone, pair = Waiting(step(side=16)), [Waiting(step(), since=1), Waiting(step(), since=1)]
    assert chosen(alone, *pair, turn=2) == pair
    composed = Waiting(step(side=24, parts=4), since=1)
    assert chosen(alone, *pair, composed, turn=2) == [composed], "rows count, not pictures"


def test_of_equally_full_ones_the_oldest():
    younger, older = Waiting(step(), since=2), Waiting(step(side=16), since=1)
    assert chosen(younger, older, turn=3) == [older]


def test_but_after_so_many_turns_everybody_goes_before_fuller_calls():
    alone, pair = Waiting(step(side=16), since=1), [Waiting(step(), since=2), Waiting(step(), since=2)]
    assert chosen(alone, *pair, turn=MAX_TURNS_WAITED) == pair
    assert chosen(alone, *pair, turn=MAX_TURNS_WAITED + 1) == [alone]


def served(pictures, turns, joiners=0):
    """Everybody asks again as soon as he is answered. Who went in each turn, and how long each had waited."""
    steps_are_due, history = False, []
    for turn in range(1, turns + 1):
        texts = [
            Waiting(EncodeText(MODEL, ("a",), TextEncodingOptions()), since=turn) for _ in range(joiners)
        ]
        crew = choose([*pictures, *texts], LIMITS, turn=turn, steps_are_due=steps_are_due)
        steps_are_due = not isinstance(crew[0].ask, Denoise)
        history.append([(picture, turn - picture.since) for picture in crew])
        for picture in crew:
            picture.since = turn
    return history


LIMITS = Limits(rows=16, row_area=10**6, vae_area=64)


def calls_needed(pictures):
    """To serve everybody once."""
    return sum(
        -(-count // (LIMITS.rows // 2))
        for count in Counter(p.ask.question.x.shape for p in pictures).values()
    )


@pytest.mark.parametrize("joiners", [0, 3])
@pytest.mark.parametrize("seed", range(6))
def test_no_step_waits_longer_than_is_promised_in_any_crowd(seed, joiners):
    dice = random.Random(seed)
    pictures = [Waiting(step(side=dice.choice([8, 8, 8, 16, 24, 32]))) for _ in range(dice.randint(2, 40))]
    waits = [wait for crew in served(pictures, 100, joiners) for picture, wait in crew if picture in pictures]
    assert max(waits) <= MAX_TURNS_WAITED + 2 * calls_needed(pictures)
    assert all(picture.since > 100 - MAX_TURNS_WAITED - 2 * calls_needed(pictures) for picture in pictures)


def test_a_crowd_and_one_alone_share_the_device_so_that_most_calls_are_full():
    crowd, alone = [Waiting(step()) for _ in range(8)], Waiting(step(side=16))
    history = served([*crowd, alone], 100)
    assert Counter(len(crew) for crew in history) == {8: 75, 1: 25}, "one call in PATIENCE is his"


def test_what_joins_or_leaves_goes_before_steps_but_not_twice_in_a_row():
    walking, leaving = Waiting(step()), Waiting(decode())
    assert chosen(walking, leaving) == [leaving]
    assert chosen(walking, leaving, steps_are_due=True) == [walking]
    assert chosen(leaving, steps_are_due=True) == [leaving]


def test_texts_are_encoded_together():
    pictures = [
        Waiting(EncodeText(MODEL, ("a", ""), TextEncodingOptions())),
        Waiting(EncodeText(MODEL, ("b", ""), TextEncodingOptions())),
        Waiting(EncodeText(MODEL, ("b", ""), TextEncodingOptions(clip_skip=2))),
    ]
    assert chosen(*pictures) == pictures[:2]


def test_texts_of_different_lengths_share_a_call_while_their_common_length_is_short():
    short, double, triple, five = (Waiting(step(tokens=77 * chunks)) for chunks in (1, 2, 3, 5))
    assert chosen(short, double, triple) == [short, double, triple]
    assert chosen(double, triple, five) == [double, triple]
    assert chosen(short, five, double) == [short, five, double]


def test_every_row_of_a_composed_prompt_counts():
    pictures = [Waiting(step(parts=3)) for _ in range(3)]
    assert len(chosen(*pictures, limits=Limits(rows=8, row_area=10**6, vae_area=64))) == 2


def test_a_call_has_room_for_so_many_rows_the_oldest_first():
    pictures = [Waiting(step(), since=turn) for turn in (3, 1, 2)]
    limits = Limits(rows=4, row_area=10**6, vae_area=64)
    assert [picture.since for picture in chosen(*pictures, limits=limits)] == [1, 2]


def test_large_pictures_travel_in_smaller_company():
    limits = Limits(rows=16, row_area=4 * 64 * 64, vae_area=64)
    assert len(chosen(*[Waiting(step(side=64)) for _ in range(5)], limits=limits)) == 2


def test_even_the_largest_picture_has_room():
    limits = Limits(rows=16, row_area=1, vae_area=1)
    assert len(chosen(Waiting(step(side=64)), limits=limits)) == 1
    assert len(chosen(Waiting(decode()), limits=limits)) == 1


def test_less_is_tried_after_memory_ran_out():
    asks = [step() for _ in range(4)]
    pictures = [Waiting(ask) for ask in asks]
    assert len(chosen(*pictures, limits=CPU_LIMITS.below(asks))) == 2
