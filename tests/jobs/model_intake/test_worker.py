"""Loading survives lost workers, is done once, and no source holds up another."""

import os
import threading
import time
from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import Schedule

from jobs.errors import LeaseLost
from jobs.model_intake import worker
from jobs.model_intake.submission import IntakeRequest, submit
from jobs.models import IntakeState, ModelIntake
from models_registry.models import ModelFile
from models_registry.scanning import install_file
from models_registry.scanning.scan import scan
from tests.support.model_files_server import demo_file, work
from tests.support.web_server import WebServer, answer

LORA = demo_file("loras/atelier-night.safetensors")


@pytest.fixture(autouse=True)
def models_root(settings, tmp_path):
    settings.MODELS_ROOT = tmp_path / "models"
    settings.MODELS_ROOT.mkdir()
    settings.OUTBOUND_ALLOWED = ["127.0.0.1"]
    return settings.MODELS_ROOT


@pytest.fixture
def files():
    server = WebServer()
    server.answers["/night.safetensors"] = answer(200, LORA)
    yield server
    server.close()


@pytest.fixture
def request_of(source, files):
    def request_of(name="midnight", of=source, path="/night.safetensors"):
        return submit(IntakeRequest(of, None, "a test", "native", files.url(path), name, kind="lora"))

    return request_of


def state(intake):
    intake.refresh_from_db()
    return intake.state


@pytest.mark.django_db
def test_interrupted_intake_is_loaded_again(request_of):
    intake = request_of()
    worker._claim()
    assert (state(intake), worker.run_next()) == (IntakeState.RUNNING, False)
    ModelIntake.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert worker.sweep() == 1
    work()
    assert (state(intake), intake.attempts) == (IntakeState.READY, 2)


@pytest.mark.django_db
def test_intake_that_is_interrupted_often_fails(request_of):
    intake = request_of()
    for _attempt in range(worker.MAX_ATTEMPTS):
        assert state(intake) == IntakeState.QUEUED
        worker._claim()
        ModelIntake.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        worker.sweep()
    assert state(intake) == IntakeState.FAILED
    assert intake.error == "Loading was interrupted several times."


@pytest.mark.django_db
def test_worker_that_lost_its_lease_changes_nothing(request_of, models_root):
    intake = request_of()
    taken = worker._claim()
    ModelIntake.objects.update(attempts=7)  # another worker has it
    with pytest.raises(LeaseLost):
        worker._run(taken)
    assert state(intake) == IntakeState.RUNNING
    assert not [path for path in models_root.rglob("*") if path.is_file()]


@pytest.mark.django_db
def test_attempt_that_was_interrupted_after_the_file_was_placed_is_completed(request_of, monkeypatch):
    intake = request_of()
    with monkeypatch.context() as patch:
        patch.setattr(worker, "_end", lambda *args, **kwargs: None)  # the process dies here
        worker.run_next()
    assert ModelFile.objects.get().missing_since is None
    ModelIntake.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    worker.sweep()
    work()
    assert (state(intake), intake.file) == (IntakeState.READY, ModelFile.objects.get())


@pytest.mark.django_db
def test_attempt_that_was_interrupted_before_the_file_was_placed_is_repeated(request_of, monkeypatch):
    intake = request_of()
    with monkeypatch.context() as patch:
        patch.setattr(install_file, "place", lambda *args: 1 / 0)
        patch.setattr(worker, "_end", lambda *args, **kwargs: None)
        worker.run_next()
    assert not ModelFile.objects.exists()  # nobody sees a model without a file
    ModelIntake.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    worker.sweep()
    work()
    assert state(intake) == IntakeState.READY


@pytest.mark.django_db
def test_name_is_free_again_when_loading_was_interrupted_for_good(request_of, monkeypatch):
    request_of()
    with monkeypatch.context() as patch:
        patch.setattr(install_file, "place", lambda *args: 1 / 0)
        patch.setattr(worker.installation, "release", lambda *args: None)  # the process dies here
        patch.setattr(worker, "_end", lambda *args, **kwargs: None)
        worker.run_next()
    assert ModelFile.objects.get().missing_since
    ModelIntake.objects.update(
        lease_until=timezone.now() - timedelta(seconds=1), attempts=worker.MAX_ATTEMPTS
    )
    worker.sweep()
    assert not ModelFile.objects.exists()
    again = request_of()
    work()
    assert state(again) == IntakeState.READY


@pytest.mark.django_db
def test_scan_between_reservation_and_placing_opens_the_file_to_nobody_else(request_of, source, monkeypatch):
    intake = request_of()
    place = install_file.place

    def scanned_before_and_after(part, path, info):
        scan()
        file = place(part, path, info)
        scan()
        return file

    monkeypatch.setattr(install_file, "place", scanned_before_and_after)
    work()
    assert state(intake) == IntakeState.READY
    file = ModelFile.objects.get()
    assert (file.missing_since, list(file.allowed_sources.all())) == (None, [source])


@pytest.mark.django_db
def test_sources_take_turns(request_of, source, other_source):
    first, second = request_of("a"), request_of("b")
    other = request_of("c", other_source)
    assert worker._claim() == first
    assert worker._claim() == other
    assert worker._claim() is None
    ModelIntake.objects.filter(pk=first.pk).update(state=IntakeState.READY)
    assert worker._claim() == second


@pytest.mark.django_db
def test_sweep_is_scheduled_and_deletes_old_leftovers(models_root):
    old = models_root / "loras" / ".intake-7"
    old.parent.mkdir(exist_ok=True)
    old.touch()
    os.utime(old, (0, 0))
    worker.sweep()
    assert not old.exists()
    assert Schedule.objects.filter(func="jobs.model_intake.worker.sweep").exists()


@pytest.mark.django_db
def test_internal_error_is_not_told(request_of, monkeypatch):
    monkeypatch.setattr(worker.installation, "install", lambda *args: 1 / 0)
    intake = request_of()
    work()
    assert (state(intake), intake.error) == (IntakeState.FAILED, "Internal error.")


@pytest.mark.django_db(transaction=True)
def test_threads_load_what_is_queued_until_they_are_stopped(request_of, other_source, monkeypatch):
    monkeypatch.setattr(worker, "LOOK_EVERY_S", 0.01)
    intakes = [request_of("a"), request_of("b", other_source)]
    stop = threading.Event()
    threads = worker.start(stop)
    while not all(intake.is_over for intake in intakes):
        for intake in intakes:
            intake.refresh_from_db()
        time.sleep(0.01)
    stop.set()
    for thread in threads:
        thread.join()
    assert [intake.state for intake in intakes] == [IntakeState.READY] * 2
