"""Readiness checks."""

from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone
from django_q.conf import Conf
from django_q.signals import post_spawn

from jobs.models import Runner
from operations import tasks
from telemetry.models import Mark

pytestmark = pytest.mark.django_db


@pytest.fixture
def ready(settings, tmp_path) -> Runner:
    settings.DATA_DIR, settings.DISK_FREE_MIN_MB = tmp_path, 0
    tasks.every_minute()
    return Runner.objects.create(name="one", url="http://127.0.0.1:9", seen_at=timezone.now())


def failed(client) -> list[str]:
    response = client.get("/readyz")
    checks = response.json()["checks"]
    names = [name for name, result in checks.items() if result != "ok"]
    assert response.status_code == (503 if names else 200)
    assert response.json()["status"] == ("unavailable" if names else "ok")
    return names


def test_ready_if_all_checks_pass(client, ready):
    assert failed(client) == []


def test_background_cluster_without_heartbeat_fails(client, ready):
    Mark.objects.filter(name=tasks.HEARTBEAT).update(at=timezone.now() - timedelta(minutes=5))
    assert failed(client) == ["background"]


@pytest.mark.parametrize(("cluster", "failing"), [("atelier", []), ("generation", ["background"])])
def test_new_worker_of_the_background_cluster_writes_a_heartbeat(
    client, ready, monkeypatch, cluster, failing
):
    Mark.objects.filter(name=tasks.HEARTBEAT).delete()
    monkeypatch.setattr(Conf, "CLUSTER_NAME", cluster)
    post_spawn.send(sender="django_q", proc_name="Process-1")
    assert failed(client) == failing


@pytest.mark.parametrize(
    "fields",
    [{"seen_at": None}, {"enabled": False}, {"problem": "not reachable"}],
    ids=["never seen", "disabled", "with a problem"],
)
def test_runner_check_fails_without_a_working_runner(client, ready, fields):
    Runner.objects.update(**fields)
    assert failed(client) == ["runner"]


def test_workers_that_begin_no_jobs_fail(client, ready):
    Runner.objects.update(hand_over_lost_at=timezone.now())
    assert failed(client) == ["hand_over"]
    Runner.objects.update(enabled=False)
    assert failed(client) == ["runner"]


def test_one_runner_of_two_is_enough(client, ready):
    Runner.objects.create(name="two", url="http://127.0.0.1:9", problem="not reachable")
    assert failed(client) == []


def test_full_disk_fails(client, ready, settings):
    settings.DISK_FREE_MIN_MB = 2**40
    assert failed(client) == ["disk"]


def test_storage_that_is_not_writable_fails(client, ready, storage_folder):
    storage_folder.parent.mkdir(exist_ok=True)
    storage_folder.write_text("a file where the folder should be")
    assert failed(client) == ["storage"]


def test_storage_check_leaves_no_files(client, ready, storage_folder):
    assert failed(client) == []
    assert not [path for path in storage_folder.rglob("*") if path.is_file()]


def test_missing_migration_fails(client, ready):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'telemetry'")
    assert failed(client) == ["migrations"]


def test_failing_database_shows_no_details(client, ready):
    def refuse(*_):
        raise OperationalError("password of the database")

    with connection.execute_wrapper(refuse):
        response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"]["database"] == "failed"
    assert "password" not in response.content.decode()
