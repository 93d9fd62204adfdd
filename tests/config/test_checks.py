import os
from pathlib import Path

import pytest
from django.core.checks import run_checks


@pytest.fixture(autouse=True)
def sound(settings, tmp_path):
    settings.RUNNER_TOKEN = "a token"
    settings.DEBUG = settings.DEMO = False
    settings.STORAGES = settings.STORAGES | {"default": storage(tmp_path / "media")}


def storage(folder: Path) -> dict:
    return {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(folder)}}


def ids() -> list[str]:
    return [message.id for message in run_checks() if message.id.startswith("atelier.")]


def test_a_sound_configuration_passes():
    assert ids() == []


def test_every_problem_has_a_hint(settings):
    settings.SECRET_KEY = settings.RUNNER_TOKEN = ""
    assert all(message.hint for message in run_checks() if message.id.startswith("atelier."))


def test_a_missing_secret_key_is_an_error(settings):
    settings.SECRET_KEY = ""
    assert ids() == ["atelier.E001"]


def test_a_missing_token_is_an_error(settings):
    settings.RUNNER_TOKEN = ""
    assert ids() == ["atelier.E002"]


@pytest.mark.parametrize(("demo", "found"), [(False, ["atelier.E003"]), (True, [])])
def test_debug_is_for_the_demo_only(settings, demo, found):
    settings.DEBUG, settings.DEMO = True, demo
    assert ids() == found


def test_retry_has_to_be_longer_than_the_timeout(settings):
    settings.Q_CLUSTER = settings.Q_CLUSTER | {"retry": settings.Q_CLUSTER["timeout"]}
    assert ids() == ["atelier.E004"]


def test_the_generation_cluster_has_to_outlast_the_longest_job(settings):
    settings.JOB_TIMEOUT_S = 10**6
    assert ids() == ["atelier.E005"]


def test_the_queue_has_to_be_in_the_default_database(settings):
    settings.Q_CLUSTER = settings.Q_CLUSTER | {"orm": "other"}
    assert ids() == ["atelier.E006"]


def test_the_storage_has_to_be_a_folder_that_can_be_written(settings, tmp_path):
    (tmp_path / "file").touch()
    settings.STORAGES = settings.STORAGES | {"default": storage(tmp_path / "file" / "media")}
    assert ids() == ["atelier.E007"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_the_storage_has_to_be_writable(settings, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    settings.STORAGES = settings.STORAGES | {"default": storage(tmp_path / "closed")}
    assert ids() == ["atelier.E007"]
