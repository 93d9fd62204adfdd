"""What is remembered is never older than the last change before the request, whoever made it and however."""

import threading
from contextlib import contextmanager

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection, transaction

from access.models import AccessKey, BusinessSource
from jobs.models import Job
from models_registry.models import Kind, ModelFile
from models_registry.selectors import names_for, resolve
from statements import given
from table_versions import current, triggers
from table_versions.models import TableVersion
from table_versions.remembered import Remembered


@contextmanager
def a_request():
    current.begin_request()
    try:
        yield
    finally:
        current.end_request()


@pytest.fixture
def by_name(db):
    return Remembered(lambda: BusinessSource.objects.filter(name=given("name")).order_by())


@pytest.fixture
def key(source):
    return AccessKey.issue(source)[0]


@pytest.fixture
def asked(by_name, source):
    """The source as a request finds it, which must be right each time."""

    def ask():
        with a_request():
            return by_name.first(name=source.name)

    ask()
    return ask


def test_a_second_request_asks_only_for_the_versions(asked, source):
    texts = []

    def noted(execute, text, *how):
        texts.append(text)
        return execute(text, *how)

    with connection.execute_wrapper(noted):
        assert asked() == source
    (text,) = texts
    assert "table_versions_tableversion" in text


def test_one_request_asks_for_the_versions_once(by_name, source, django_assert_num_queries):
    with a_request(), django_assert_num_queries(2):
        for _ in range(3):
            assert by_name.first(name=source.name) == source


def test_outside_of_requests_nothing_is_remembered(by_name, source, django_assert_num_queries):
    for _ in range(2):
        with django_assert_num_queries(1):
            assert by_name.first(name=source.name) == source


@pytest.mark.parametrize(
    "change",
    [
        lambda source: BusinessSource.objects.filter(pk=source.pk).update(weight=7),
        lambda source: BusinessSource.objects.bulk_update([_with_weight(source)], ["weight"]),
        lambda source: _with_weight(source).save(),
        lambda source: connection.cursor().execute("UPDATE access_businesssource SET weight = 7"),
    ],
    ids=["update", "bulk_update", "save", "SQL by hand"],
)
def test_a_change_is_seen_by_the_next_request(asked, source, change):
    assert asked().weight != 7
    change(source)
    assert asked().weight == 7


def _with_weight(source):
    source.weight = 7
    return source


def test_a_row_that_comes_and_goes_is_seen(by_name):
    def ask():
        with a_request():
            return by_name.first(name="new")

    assert ask() is None
    new = BusinessSource.objects.create(name="new")
    assert ask() == new
    new.delete()
    assert ask() is None


def test_a_change_that_was_undone_leaves_nothing_behind(asked, source):
    before = asked().weight
    with transaction.atomic():
        BusinessSource.objects.update(weight=before + 1)
        assert asked().weight == before + 1
        transaction.set_rollback(True)
    assert asked().weight == before
    BusinessSource.objects.update(weight=before + 2)
    assert asked().weight == before + 2


def test_a_request_sees_its_own_change(by_name, source):
    with a_request():
        by_name.first(name=source.name)
        _with_weight(source).save()
        assert by_name.first(name=source.name).weight == 7


def test_the_last_use_of_a_key_is_no_change(key):
    def version():
        return TableVersion.objects.get(table="access_accesskey").version

    before = version()
    AccessKey.objects.update(last_used_at="2026-01-01T00:00Z")
    assert version() == before
    AccessKey.objects.update(enabled=False)
    assert version() != before


def test_who_may_use_a_model_is_seen_at_once(source, checkpoint):
    other = BusinessSource.objects.create(name="other")

    def names():
        with a_request():
            return names_for(Kind.CHECKPOINT, source)

    assert names() == [checkpoint.name]
    checkpoint.allowed_sources.add(other)
    assert names() == []
    ModelFile.allowed_sources.through.objects.all().delete()
    assert names() == [checkpoint.name]


def test_what_one_request_does_to_its_rows_no_other_sees(asked, source):
    mine = asked()
    mine.weight = 99
    assert asked().weight == source.weight


def test_nor_to_the_rows_behind_them(key):
    statement = Remembered(lambda: AccessKey.objects.select_related("source").filter(pk=given("key")))

    def ask():
        with a_request():
            return statement.first(key=key.pk)

    ask()
    ask().source.name = "changed"
    assert ask().source.name == key.source.name


def test_two_threads_have_a_request_each(by_name, source):
    found = []
    with a_request():
        thread = threading.Thread(target=lambda: found.append(current.versions()))
        thread.start()
        thread.join()
        assert current.versions()
    assert found == [None]


def test_many_different_questions_do_not_fill_the_memory(by_name, monkeypatch):
    monkeypatch.setattr("table_versions.remembered.MOST", 10)
    with a_request():
        for number in range(100):
            by_name.first(name=f"unknown {number}")
    assert len(by_name._answers) <= 10


def test_an_answer_is_not_kept_for_ever(asked, source, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr("table_versions.remembered.LONGEST_S", -1)
    with django_assert_num_queries(2):
        asked()


def test_a_table_without_a_version_is_always_asked(asked, source, django_assert_num_queries):
    TableVersion.objects.all().delete()
    with django_assert_num_queries(2):
        assert asked() == source


def test_a_table_that_is_not_watched_is_refused(source):
    statement = Remembered(lambda: Job.objects.filter(pk=given("job")))
    with a_request(), pytest.raises(ImproperlyConfigured, match="jobs_job"):
        statement.first(job=None)


def test_a_default_model_that_is_disabled_is_gone_for_the_next_request(client, source, checkpoint):
    with a_request():
        assert resolve(Kind.CHECKPOINT, "", source) == checkpoint
    ModelFile.objects.update(enabled=False)
    with a_request(), pytest.raises(Exception, match="checkpoint"):
        resolve(Kind.CHECKPOINT, "", source)


def test_every_migration_brings_lost_triggers_back(asked, source):
    triggers.remove(connection)
    call_command("migrate", verbosity=0)
    BusinessSource.objects.update(weight=7)
    assert asked().weight == 7


def test_the_migration_goes_back(transactional_db):
    try:
        call_command("migrate", "table_versions", "zero", verbosity=0)
        BusinessSource.objects.create(name="later")
    finally:
        call_command("migrate", verbosity=0)
    assert TableVersion.objects.filter(table="access_businesssource").exists()
