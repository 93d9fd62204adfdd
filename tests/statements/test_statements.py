"""Their SQL is made once; what they find is what the ORM finds, with every value that is given later."""

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DataError, IntegrityError, connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from access.models import AccessKey, BusinessSource, Posting
from jobs.admission.admit import admit
from jobs.models import Job, State
from models_registry.models import ModelFile
from statements import InsertStatement, Statement, UpdateStatement, given, pipelined, send, together

BY_NAME = Statement(lambda: BusinessSource.objects.filter(name=given("name")))
JOB = Statement(lambda: Job.objects.filter(pk=given("pk")).select_related("checkpoint", "source"))
POSTING = InsertStatement(lambda: Posting)
CHANGE = UpdateStatement(
    lambda: Job.objects.filter(pk=given("pk"), state=given("before")),
    state=given("state"),
    started_at=given("started_at"),
    cost=given("cost"),
    runner_id=given("runner_id"),
)
WEIGHT = UpdateStatement(lambda: BusinessSource.objects.filter(name=given("name")), weight=given("to"))


@pytest.fixture
def job(submission) -> Job:
    return admit(submission())


def test_every_run_has_its_own_values(source, other_source):
    assert [BY_NAME.first(name=name) for name in ("shop", "blog", "nobody")] == [source, other_source, None]


def test_all_rows_are_found(source, other_source):
    assert Statement(BusinessSource.objects.order_by("name").all).all() == [other_source, source]


def test_related_rows_come_along(job, django_assert_num_queries):
    with django_assert_num_queries(1):
        found = JOB.first(pk=job.pk)
        assert (found.source, found.checkpoint.name) == (job.source, "shapes")
    assert found.created_at == job.created_at
    assert found.request == job.request


def test_a_deferred_column_is_read_when_it_is_wanted(checkpoint):
    found = Statement(lambda: ModelFile.objects.filter(pk=given("pk")).defer("metadata")).first(
        pk=checkpoint.pk
    )
    assert found.get_deferred_fields() == {"metadata"}
    assert found.metadata == {}


def test_an_encrypted_column_is_decrypted(source):
    key, secret = AccessKey.issue(source)
    assert Statement(lambda: AccessKey.objects.filter(pk=given("pk"))).first(pk=key.pk).secret == secret


def test_an_update_writes_what_the_orm_writes_and_counts_rows(job, runner):
    values = {
        "started_at": datetime(2026, 1, 2, 3, 4, 5, 678, UTC),
        "cost": Decimal("1.250000"),
        "runner_id": runner.pk,
    }
    assert CHANGE.run(pk=job.pk, before=State.QUEUED, state=State.RUNNING, **values) == 1
    found = Job.objects.get(state=State.RUNNING)
    assert {name: getattr(found, name) for name in values} == values
    assert Job.objects.filter(**values).exists()  # as the ORM would look for them


def test_an_update_of_no_row_says_so(job):
    changes = {"state": State.RUNNING, "started_at": None, "cost": Decimal(0), "runner_id": None}
    assert CHANGE.run(pk=job.pk, before=State.FAILED, **changes) == 0
    assert CHANGE.run(pk=uuid.uuid4(), before=State.QUEUED, **changes) == 0


def test_without_changes_it_deletes(source, other_source):
    assert UpdateStatement(lambda: BusinessSource.objects.filter(name=given("name"))).run(name="blog") == 1
    assert list(BusinessSource.objects.all()) == [source]


def test_threads_share_a_statement(together, source, other_source):
    assert together(lambda: BY_NAME.first(name="shop"), lambda: BY_NAME.first(name="blog")) == [
        source,
        other_source,
    ]


def test_text_is_a_value_and_never_sql(source):
    with CaptureQueriesContext(connection) as asked:
        assert BY_NAME.first(name="shop' OR '1'='1") is None
        assert BY_NAME.first(name="50%s") is None
    assert len(asked) == 2


def test_an_insert_writes_whole_rows(source, other_source):
    values = {
        "kind": "reserve",
        "amount": Decimal("1.5"),
        "images": 2,
        "day": date(2026, 1, 2),
        "model": "花",
    }
    made = [Posting(source=owner, job_id=uuid.uuid4(), **values) for owner in (source, other_source, source)]
    POSTING.run(made[:1])
    POSTING.run(made[1:])
    found = Posting.objects.order_by("id")
    assert [posting.job_id for posting in found] == [posting.job_id for posting in made]
    assert [posting.source for posting in found] == [source, other_source, source]
    for posting in found:
        assert {name: getattr(posting, name) for name in values} == values
    assert not made[0]._state.adding


def test_an_insert_writes_every_kind_of_value_as_the_orm_does(job, submission):
    awkward = {"text": 'it\'s "花" \\ %s\n', "numbers": [1, 2.5, -3e-7, 10**20], "nothing": None, "yes": True}
    (copied,) = Job.objects.filter(pk=job.pk)
    copied.pk, copied.received, copied.lease_expires_at = (
        uuid.uuid4(),
        awkward,
        datetime(2026, 1, 2, tzinfo=UTC),
    )
    copied.device_seconds, copied.cost, copied.error_message = (
        0.1 + 0.2,
        Decimal("12.000001"),
        awkward["text"],
    )
    InsertStatement(lambda: Job).run([copied])
    kept = Job.objects.get(pk=copied.pk)
    names = [field.attname for field in Job._meta.local_concrete_fields]
    assert {name: getattr(kept, name) for name in names} == {name: getattr(copied, name) for name in names}


def test_an_insert_fills_in_what_fills_itself_in(source):
    POSTING.run([Posting(source=source, job_id=uuid.uuid4(), kind="reserve", day=date(2026, 1, 2))])
    assert Posting.objects.get().created_at is not None


def test_a_column_that_is_not_stored_as_it_is_cannot_be_inserted_past_its_field(source):
    with pytest.raises(ImproperlyConfigured, match="secret"):
        InsertStatement(lambda: AccessKey).run([AccessKey(source=source, key_id="k", secret="s")])


def test_what_is_sent_together_is_all_done(source, other_source):
    row = {"source": source, "job_id": uuid.uuid4(), "day": date(2026, 1, 2)}
    first, second = (POSTING.write([Posting(kind=kind, **row)]) for kind in ("reserve", "release"))
    send(first, WEIGHT.write(name="shop", to=9), WEIGHT.write(name="blog", to=8), second)
    assert sorted(Posting.objects.values_list("kind", flat=True)) == ["release", "reserve"]
    assert dict(BusinessSource.objects.values_list("name", "weight")) == {"shop": 9, "blog": 8}


def test_two_changes_of_one_row_that_are_sent_together_are_both_made(source):
    heavier = UpdateStatement(lambda: BusinessSource.objects.filter(name="shop"), weight=F("weight") + 1)
    before = source.weight
    send(heavier.write(), heavier.write(), heavier.write())
    source.refresh_from_db()
    assert source.weight == before + 3


def test_a_change_that_is_asked_with_other_things_says_how_many_rows_it_was(source):
    changed, found, unchanged = together(
        WEIGHT.ask(name="shop", to=9), BY_NAME.ask(name="shop"), WEIGHT.ask(name="nobody", to=9)
    )
    assert (changed, found[0].weight, unchanged) == (1, 9, 0)


def test_an_insert_that_breaks_a_constraint_says_so_where_the_block_ends(source):
    twice = {"source": source, "job_id": uuid.uuid4(), "kind": "reserve", "day": date(2026, 1, 2)}

    @transaction.atomic
    def insert_twice() -> None:
        with pipelined():
            POSTING.run([Posting(**twice)])
            POSTING.run([Posting(**twice)])

    with pytest.raises(IntegrityError):
        insert_twice()
    assert not Posting.objects.exists()


def test_what_is_asked_together_is_answered_in_its_order(source, other_source, job):
    asked = BY_NAME.ask(name="blog"), JOB.ask(pk=job.pk), BY_NAME.ask(name="nobody"), BY_NAME.ask(name="shop")
    assert together(*asked) == [[other_source], [job], [], [source]]
    assert together() == []


def test_together_sees_what_its_transaction_did_before(source):
    with pipelined(), transaction.atomic():
        send(WEIGHT.write(name="shop", to=9))
        ((found,),) = together(BY_NAME.ask(name="shop"))
        assert found.weight == 9


def test_a_question_that_goes_wrong_is_raised_and_the_next_ones_are_answered(source):
    wrong = Statement(lambda: BusinessSource.objects.extra(where=["1/(weight-weight) = 1"]))
    if connection.vendor == "postgresql":
        with pytest.raises(DataError), transaction.atomic():
            together(BY_NAME.ask(name="shop"), wrong.ask(), BY_NAME.ask(name="shop"))
    assert together(BY_NAME.ask(name="shop")) == [[source]]
