import pytest

from telemetry import tallies
from telemetry.models import Tally


@pytest.fixture(autouse=True)
def _nothing_noted(db):
    tallies._noted.clear()


def test_notes_are_written_as_one_sum():
    for _ in range(3):
        tallies.note("refusals", reason="queue_full")
    assert not Tally.objects.exists()
    tallies.flush()
    assert Tally.objects.get().value == 3


def test_tallies_add_up_over_processes_and_times():
    tallies.add("refusals", 2, reason="queue_full")
    tallies.note("refusals", reason="queue_full")
    tallies.flush()
    tallies.flush()
    assert Tally.objects.get().value == 3


def test_labels_tell_tallies_apart_whatever_their_order():
    tallies.add("answers", 1, route="a", status="200")
    tallies.add("answers", 1, status="200", route="a")
    tallies.add("answers", 1, route="b", status="200")
    assert sorted(Tally.objects.values_list("value", flat=True)) == [1, 2]


def test_label_of_a_stranger_is_cut():
    tallies.add("refusals", 1, reason="x" * 10_000)
    assert len(Tally.objects.get().labels) < 100


@pytest.mark.django_db(transaction=True)
def test_what_cannot_be_written_is_kept():
    from django.db import OperationalError, connection

    def refuse(*_):
        raise OperationalError("no database")

    tallies.note("refusals", reason="queue_full")
    with connection.execute_wrapper(refuse):
        tallies.flush()
    tallies.flush()
    assert Tally.objects.get().value == 1
