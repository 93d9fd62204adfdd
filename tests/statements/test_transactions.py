"""A transaction that travels with its statements is a transaction like any other, and makes fewer trips."""

import tempfile
import uuid
from collections.abc import Callable
from datetime import date

import pytest
from django.db import IntegrityError, OperationalError, connection, connections, transaction

from access.models import BusinessSource, Posting
from statements import InsertStatement, Statement, UpdateStatement, given, pipelined, send, together

pytestmark = pytest.mark.django_db(transaction=True)

SOURCE = Statement(lambda: BusinessSource.objects.filter(name=given("name")))
WEIGHT = UpdateStatement(lambda: BusinessSource.objects.filter(name=given("name")), weight=given("to"))
POSTING = InsertStatement(lambda: Posting)


@pytest.fixture
def source(transactional_db) -> BusinessSource:
    return BusinessSource.objects.create(name="shop", weight=1)


@pytest.fixture
def postgresql() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no way to send ahead")


def do(*deeds: Callable[[], object]) -> None:
    """In a transaction."""
    with pipelined(), transaction.atomic():
        for deed in deeds:
            deed()


def heavier() -> None:
    send(WEIGHT.write(name="shop", to=9))


def fail() -> None:
    raise LookupError


def weight_as_others_see_it() -> int:
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT weight FROM access_businesssource")
            return cursor.fetchone()[0]
    finally:
        other.close()


def assert_connection_is_as_new() -> None:
    assert not connection.in_atomic_block
    assert connection.get_autocommit()
    BusinessSource.objects.update(weight=5)
    assert weight_as_others_see_it() == 5


def test_others_see_it_when_it_ends_and_not_before(source):
    with pipelined(), transaction.atomic():
        heavier()
        ((found,),) = together(SOURCE.ask(name="shop"))
        assert (found.weight, weight_as_others_see_it()) == (9, 1)
    assert weight_as_others_see_it() == 9
    assert_connection_is_as_new()


def test_what_is_raised_in_it_undoes_it(source):
    with pytest.raises(LookupError):
        do(heavier, fail)
    assert weight_as_others_see_it() == 1
    assert_connection_is_as_new()


def test_a_statement_that_goes_wrong_undoes_those_before_it(source):
    posting = {"source": source, "job_id": uuid.uuid4(), "kind": "reserve", "day": date(2026, 1, 2)}
    with pytest.raises(IntegrityError):
        do(heavier, *[lambda: POSTING.run([Posting(**posting)])] * 2)
    assert weight_as_others_see_it() == 1
    assert not Posting.objects.exists()
    assert_connection_is_as_new()


def test_a_constraint_that_is_looked_at_in_the_end_undoes_it(source):
    posting = Posting(source_id=source.pk + 1, job_id=uuid.uuid4(), kind="reserve", day=date(2026, 1, 2))
    with pytest.raises(IntegrityError):
        do(heavier, lambda: POSTING.run([posting]))
    assert weight_as_others_see_it() == 1
    assert_connection_is_as_new()


def test_what_is_to_be_done_on_commit_is_done_after_it_or_not_at_all(source):
    seen = []
    do(heavier, lambda: transaction.on_commit(lambda: seen.append(weight_as_others_see_it())))
    with pytest.raises(LookupError):
        do(lambda: transaction.on_commit(lambda: seen.append("never")), fail)
    assert seen == [9]


def test_a_part_of_it_can_be_undone(source):
    @transaction.atomic
    def heavier_still() -> None:
        BusinessSource.objects.update(weight=10)
        fail()

    with pipelined(), transaction.atomic():
        heavier()
        with pytest.raises(LookupError):
            heavier_still()
        BusinessSource.objects.create(name="blog")
    assert dict(BusinessSource.objects.values_list("name", "weight"))["shop"] == 9
    assert BusinessSource.objects.filter(name="blog").exists()


def test_two_in_one_block_are_two(source):
    with pipelined():
        do(heavier)
        with pytest.raises(LookupError):
            do(lambda: send(WEIGHT.write(name="shop", to=10)), fail)
    assert weight_as_others_see_it() == 9
    assert_connection_is_as_new()


def test_a_lost_connection_is_an_error_and_the_next_transaction_has_another(source, postgresql):
    def hang_up() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(OperationalError):
        do(heavier, hang_up, lambda: together(SOURCE.ask(name="shop")))
    connection.close()
    assert weight_as_others_see_it() == 1
    do(heavier)
    assert weight_as_others_see_it() == 9
    assert_connection_is_as_new()


def test_it_makes_a_trip_for_what_it_asks_and_one_for_what_it_writes(source, postgresql):
    together(SOURCE.ask(name="shop"))
    with tempfile.TemporaryFile() as traced:
        connection.connection.pgconn.trace(traced.fileno())
        with pipelined(), transaction.atomic():
            together(SOURCE.ask(name="shop"), SOURCE.ask(name="blog"))
            heavier()
        connection.connection.pgconn.untrace()
        traced.seek(0)
        lines = traced.read().decode().splitlines()
    waits = [line for line in lines if "\tReadyForQuery\t" in line]
    assert len(waits) == 2
