"""Who shares the next call."""

from dataclasses import dataclass

import torch

from gpu_runner.batching import CPU_LIMITS, Limits, choose
from gpu_runner.denoiser import Guidance, Question
from gpu_runner.tasks import Ask, DecodeAsk, DenoiseAsk, TextAsk


@dataclass(eq=False)
class Waiting:
    ask: Ask
    since: int = 0
    checkpoint_key: str = "a"


def step(side=8, tokens=77, scale=7.0):
    texts = torch.zeros(tokens, 4)
    return DenoiseAsk(Question(torch.zeros(4, side, side), 1.0, 100.0, Guidance(texts, texts, scale)))


def decode():
    return DecodeAsk(torch.zeros(4, 8, 8))


def chosen(*pictures, limits=CPU_LIMITS, steps_are_due=False):
    return choose(pictures, limits, steps_are_due=steps_are_due)


def test_different_scales_share_a_call():
    one, other = Waiting(step(scale=1.0)), Waiting(step(scale=9.0))
    assert chosen(one, other) == [one, other]


def test_other_sizes_texts_and_checkpoints_do_not():
    pictures = [
        Waiting(step()),
        Waiting(step(side=16)),
        Waiting(step(tokens=154)),
        Waiting(step(), checkpoint_key="b"),
    ]
    assert len(chosen(*pictures)) == 1


def test_the_largest_company_goes_first():
    alone, pair = Waiting(step(side=16)), [Waiting(step()), Waiting(step())]
    assert chosen(alone, *pair) == pair


def test_but_nobody_waits_for_ever():
    waiting = Waiting(step(side=16), since=1)
    assert chosen(waiting, Waiting(step(), since=2), Waiting(step(), since=2)) == [waiting]


def test_what_joins_or_leaves_goes_before_steps_but_not_twice_in_a_row():
    walking, leaving = Waiting(step()), Waiting(decode())
    assert chosen(walking, leaving) == [leaving]
    assert chosen(walking, leaving, steps_are_due=True) == [walking]
    assert chosen(leaving, steps_are_due=True) == [leaving]


def test_texts_are_encoded_together():
    pictures = [
        Waiting(TextAsk(("a", ""), 1)),
        Waiting(TextAsk(("b", ""), 1)),
        Waiting(TextAsk(("b", ""), 2)),
    ]
    assert chosen(*pictures) == pictures[:2]


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
    assert CPU_LIMITS.below(asks).room(asks[0]) == 2
