from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone
from django_q.conf import Conf
from django_q.signals import post_spawn

from jobs.models import Runner
from operations import readiness, tasks
from telemetry.models import Mark

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_kept():
    readiness._kept.clear()


@pytest.fixture
def all_is_well(settings, tmp_path) -> Runner:
    settings.DATA_DIR, settings.DISK_FREE_MIN_MB = tmp_path, 0
    tasks.every_minute()
    return Runner.objects.create(name="one", url="http://127.0.0.1:9", seen_at=timezone.now())


def failed(client) -> list[str]:
    answer = client.get("/readyz")
    checks = answer.json()["checks"]
    names = [name for name, told in checks.items() if told != "ok"]
    assert answer.status_code == (503 if names else 200)
    assert answer.json()["status"] == ("unavailable" if names else "ok")
    return names


def test_ready_when_everything_is_there(client, all_is_well):
    assert failed(client) == []


def test_silent_background_cluster_is_named(client, all_is_well):
    Mark.objects.filter(name=tasks.HEARTBEAT).update(at=timezone.now() - timedelta(minutes=5))
    assert failed(client) == ["background"]


@pytest.mark.parametrize(("cluster", "silent"), [("atelier", []), ("generation", ["background"])])
def test_a_new_worker_of_the_background_cluster_is_a_sign_of_life(
    client, all_is_well, monkeypatch, cluster, silent
):
    Mark.objects.filter(name=tasks.HEARTBEAT).delete()
    monkeypatch.setattr(Conf, "CLUSTER_NAME", cluster)
    post_spawn.send(sender="django_q", proc_name="Process-1")
    assert failed(client) == silent


@pytest.mark.parametrize(
    "fields",
    [{"seen_at": None}, {"enabled": False}, {"problem": "nobody answered"}],
    ids=["never seen", "disabled", "with a problem"],
)
def test_no_runner_that_works_is_named(client, all_is_well, fields):
    Runner.objects.update(**fields)
    assert failed(client) == ["runner"]


def test_one_runner_of_two_is_enough(client, all_is_well):
    Runner.objects.create(name="two", url="http://127.0.0.1:9", problem="nobody answered")
    assert failed(client) == []


def test_full_disk_is_named(client, all_is_well, settings):
    settings.DISK_FREE_MIN_MB = 2**40
    assert failed(client) == ["disk"]


def test_storage_that_cannot_be_written_to_is_named(client, all_is_well, storage_folder):
    storage_folder.parent.mkdir(exist_ok=True)
    storage_folder.write_text("a file where the folder should be")
    assert failed(client) == ["storage"]


def test_storage_is_left_as_it_was(client, all_is_well, storage_folder):
    assert failed(client) == []
    assert not [path for path in storage_folder.rglob("*") if path.is_file()]


def test_missing_migration_is_named(client, all_is_well):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'telemetry'")
    assert failed(client) == ["migrations"]


def test_database_that_does_not_answer_tells_no_stranger_why(client, all_is_well):
    def refuse(*_):
        raise OperationalError("password of the database")

    with connection.execute_wrapper(refuse):
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == "failed"
    assert "password" not in answer.content.decode()
