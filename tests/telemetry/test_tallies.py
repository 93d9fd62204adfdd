import pytest

from telemetry import tallies
from telemetry.models import Tally

pytestmark = pytest.mark.django_db


def test_tallies_add_up():
    tallies.add("jobs_ended", 2, state="failed")
    tallies.add("jobs_ended", 1, state="failed")
    assert Tally.objects.get().value == 3


def test_labels_are_the_same_in_any_order():
    tallies.add("jobs_ended", 1, source="a", state="failed")
    tallies.add("jobs_ended", 1, state="failed", source="a")
    tallies.add("jobs_ended", 1, source="b", state="failed")
    assert sorted(Tally.objects.values_list("value", flat=True)) == [1, 2]


def test_long_label_is_cut():
    tallies.add("jobs_ended", 1, source="x" * 10_000)
    assert len(Tally.objects.get().labels) < 100
