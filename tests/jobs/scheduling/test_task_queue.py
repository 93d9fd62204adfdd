import multiprocessing
import os
import signal
import time

import psutil
import pytest

from jobs.scheduling.task_queue import STOP, Flag, TaskQueue

pytestmark = pytest.mark.slow

fork = multiprocessing.get_context("fork")


@pytest.fixture
def tasks() -> TaskQueue:
    return TaskQueue()


def start(target, *arguments) -> multiprocessing.process.BaseProcess:
    process = fork.Process(target=target, args=arguments)
    process.start()
    return process


def copy(source: TaskQueue, to: TaskQueue) -> None:
    for item in iter(source.get, STOP):
        to.put(item)


def kill(process) -> None:
    process.kill()
    process.join()


def test_items_arrive_in_order_and_of_any_size(tasks):
    items = [{"id": number, "args": ("x" * number * 100_000,)} for number in range(5)]
    for item in items:
        tasks.put(item)
    assert tasks.qsize() == 1
    assert [tasks.get() for _item in items] == items
    assert tasks.empty()


def test_killed_reader_blocks_no_other_reader(tasks):
    """Each reader is killed while it waits; multiprocessing.Queue would stay locked."""
    results = TaskQueue()
    for number in range(3):
        waiting, other = start(copy, tasks, results), start(copy, tasks, results)
        time.sleep(0.2)
        kill(waiting)
        tasks.put(number)
        assert results.get() == number
        kill(other)


def test_item_waits_for_the_next_reader_if_the_only_one_is_killed(tasks):
    results = TaskQueue()
    stopped = start(copy, tasks, results)
    time.sleep(0.2)
    os.kill(stopped.pid, signal.SIGSTOP)
    while psutil.Process(stopped.pid).status() != psutil.STATUS_STOPPED:
        time.sleep(0.01)
    tasks.put("task")
    kill(stopped)
    replacement = start(copy, tasks, results)
    assert results.get() == "task"
    kill(replacement)


def test_each_item_is_read_once(tasks):
    results = TaskQueue()
    readers = [start(copy, tasks, results) for _number in range(4)]
    sender = start(lambda: [tasks.put(number) for number in range(200)])
    assert sorted(results.get() for _number in range(200)) == list(range(200))
    assert results.empty()
    for process in (*readers, sender):
        kill(process)


def test_closed_queue_ends_its_readers_after_the_last_item(tasks):
    tasks.put("last")
    tasks.close()
    assert [tasks.get(), tasks.get()] == ["last", STOP]


def test_put_into_a_full_queue_ends_when_it_is_closed(tasks):
    count = fork.RawValue("i", 0)

    def fill() -> None:
        while True:
            tasks.put(count.value)
            count.value += 1

    writer, before = start(fill), -1
    while count.value != before or not before:
        before = count.value
        time.sleep(0.2)
    tasks.close()
    while count.value == before:
        time.sleep(0.05)
    kill(writer)


def test_flag_is_set_for_the_children_of_a_dead_process():
    reported = TaskQueue()

    def report(flag: Flag) -> None:
        reported.put(flag.is_set())
        while not flag.is_set():
            time.sleep(0.05)
        reported.put(flag.is_set())

    def parent() -> None:
        flag = Flag()
        fork.Process(target=report, args=(flag,)).start()
        time.sleep(60)

    process = start(parent)
    assert reported.get() is False
    kill(process)
    assert reported.get() is True


def test_flag_is_shared():
    flag = Flag()
    setter = start(flag.set)
    setter.join()
    assert flag.is_set()
    assert flag.wait(600)
