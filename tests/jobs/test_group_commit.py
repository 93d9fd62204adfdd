"""Who comes at the same time shares a transaction, and nobody suffers for another."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import transaction

from jobs.group_commit import GroupCommit

PATIENCE_S = 60  # until a test gives up


class Unfit(Exception):
    pass


class Work:
    """Doubles numbers; takes its time until it may go on, once it has begun."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.began, self.may_end = threading.Event(), threading.Event()

    def __call__(self, items):
        self.groups.append(list(items))
        self.began.set()
        assert self.may_end.wait(PATIENCE_S)
        if 13 in items:
            raise Unfit
        return [Unfit() if item == 7 else 2 * item for item in items]


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def group(work) -> GroupCommit[int, int]:
    return GroupCommit(work, max_size=3)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.fixture
def crowd(group, work, pool):
    """``crowd(1, 2)``: what becomes of those who come, in this order, while a first one is worked for."""

    def crowd(*items: int):
        first = pool.submit(group.submit, 0)
        assert work.began.wait(PATIENCE_S)
        coming = [
            (pool.submit(group.submit, item), until_waiting(group, place + 1))[0]
            for place, item in enumerate(items)
        ]
        work.may_end.set()
        assert first.result(PATIENCE_S) == 0
        return coming

    return crowd


def until_waiting(group: GroupCommit, number: int) -> None:
    with group._changed:
        assert group._changed.wait_for(lambda: len(group._waiting) == number, PATIENCE_S)


def test_whoever_comes_alone_is_served_alone_and_at_once(group, work):
    work.may_end.set()
    assert group.submit(4) == 8
    assert work.groups == [[4]]


def test_those_who_come_meanwhile_share_the_next_transaction(crowd, work):
    assert [done.result(PATIENCE_S) for done in crowd(1, 2, 3)] == [2, 4, 6]
    assert work.groups == [[0], [1, 2, 3]]


def test_a_group_has_an_end_and_the_next_one_follows(crowd, work):
    assert [done.result(PATIENCE_S) for done in crowd(1, 2, 3, 4, 5)] == [2, 4, 6, 8, 10]
    assert work.groups == [[0], [1, 2, 3], [4, 5]]


def test_everybody_gets_an_error_of_its_own(crowd):
    one, unfit, other = crowd(1, 7, 2)
    assert (one.result(PATIENCE_S), other.result(PATIENCE_S)) == (2, 4)
    with pytest.raises(Unfit):
        unfit.result(PATIENCE_S)


def test_who_spoils_the_transaction_fails_by_itself(crowd, work):
    one, spoiler, other = crowd(1, 13, 2)
    assert (one.result(PATIENCE_S), other.result(PATIENCE_S)) == (2, 4)
    with pytest.raises(Unfit):
        spoiler.result(PATIENCE_S)
    assert sorted(work.groups[2:]) == [[1], [2], [13]]


@pytest.mark.django_db(transaction=True)
def test_inside_a_transaction_nobody_else_s_work_is_taken_or_given(group, work, pool):
    other = pool.submit(group.submit, 1)
    assert work.began.wait(PATIENCE_S)
    with transaction.atomic():
        work.may_end.set()
        assert group.submit(5) == 10
    assert other.result(PATIENCE_S) == 2
    assert sorted(work.groups) == [[1], [5]]
