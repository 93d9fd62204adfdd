"""Concurrent items share a transaction, and each gets its own result or error."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import transaction

from jobs.admission.group_commit import GroupCommit

pytestmark = pytest.mark.slow

TIMEOUT_S = 60  # until a test fails


class Unfit(Exception):
    pass


class Work:
    """Doubles numbers; a group that has begun is finished when ``may_end`` is set."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.began, self.may_end = threading.Event(), threading.Event()

    def __call__(self, items):
        self.groups.append(list(items))
        self.began.set()
        assert self.may_end.wait(TIMEOUT_S)
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
def submit_together(group, work, pool):
    """``submit_together(1, 2)``: the futures of items that are submitted, in this order, while a group is running."""

    def submit_together(*items: int):
        first = pool.submit(group.submit, 0)
        assert work.began.wait(TIMEOUT_S)
        futures = []
        for number, item in enumerate(items, 1):
            futures.append(pool.submit(group.submit, item))
            while group.waiting < number:
                time.sleep(0.001)
        work.may_end.set()
        assert first.result(TIMEOUT_S) == 0
        return futures

    return submit_together


def test_single_item_is_committed_at_once(group, work):
    work.may_end.set()
    assert group.submit(4) == 8
    assert work.groups == [[4]]


def test_items_that_arrive_meanwhile_share_the_next_transaction(submit_together, work):
    assert [done.result(TIMEOUT_S) for done in submit_together(1, 2, 3)] == [2, 4, 6]
    assert work.groups == [[0], [1, 2, 3]]


def test_group_has_a_maximum_size(submit_together, work):
    assert [done.result(TIMEOUT_S) for done in submit_together(1, 2, 3, 4, 5)] == [2, 4, 6, 8, 10]
    assert work.groups == [[0], [1, 2, 3], [4, 5]]


def test_each_item_gets_its_own_error(submit_together):
    one, unfit, other = submit_together(1, 7, 2)
    assert (one.result(TIMEOUT_S), other.result(TIMEOUT_S)) == (2, 4)
    with pytest.raises(Unfit):
        unfit.result(TIMEOUT_S)


def test_item_that_fails_the_transaction_fails_alone(submit_together, work):
    one, unfit, other = submit_together(1, 13, 2)
    assert (one.result(TIMEOUT_S), other.result(TIMEOUT_S)) == (2, 4)
    with pytest.raises(Unfit):
        unfit.result(TIMEOUT_S)
    assert sorted(work.groups[2:]) == [[1], [2], [13]]


@pytest.mark.django_db(transaction=True)
def test_item_submitted_inside_a_transaction_is_not_grouped(group, work, pool):
    other = pool.submit(group.submit, 1)
    assert work.began.wait(TIMEOUT_S)
    with transaction.atomic():
        work.may_end.set()
        assert group.submit(5) == 10
    assert other.result(TIMEOUT_S) == 2
    assert sorted(work.groups) == [[1], [5]]
