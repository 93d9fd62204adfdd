"""System checks of the settings."""

import os
from pathlib import Path

import pytest
from django.core.checks import run_checks

from tests.support.certificates import write_self_signed


@pytest.fixture(autouse=True)
def valid_settings(settings, tmp_path):
    settings.RUNNER_TOKEN = "a token"
    settings.DEBUG = settings.DEMO = False
    settings.STORAGES = settings.STORAGES | {"default": storage(tmp_path / "media")}


def storage(folder: Path) -> dict:
    return {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(folder)}}


def check_ids() -> list[str]:
    return [message.id for message in run_checks() if message.id.startswith("atelier.")]


def test_valid_settings_pass():
    assert check_ids() == []


def test_every_error_has_a_hint(settings):
    settings.SECRET_KEY = settings.RUNNER_TOKEN = ""
    assert all(message.hint for message in run_checks() if message.id.startswith("atelier."))


def test_a_missing_secret_key_is_an_error(settings):
    settings.SECRET_KEY = ""
    assert check_ids() == ["atelier.E001"]


def test_a_missing_token_is_an_error(settings):
    settings.RUNNER_TOKEN = ""
    assert check_ids() == ["atelier.E002"]


@pytest.mark.parametrize(("demo", "found"), [(False, ["atelier.E003"]), (True, [])])
def test_debug_is_allowed_only_in_demo_mode(settings, demo, found):
    settings.DEBUG, settings.DEMO = True, demo
    assert check_ids() == found


def test_retry_must_be_longer_than_the_timeout(settings):
    settings.Q_CLUSTER = settings.Q_CLUSTER | {"retry": settings.Q_CLUSTER["timeout"]}
    assert check_ids() == ["atelier.E004"]


def test_timeout_of_the_generation_cluster_must_exceed_the_job_timeout(settings):
    settings.JOB_TIMEOUT_S = 10**6
    assert check_ids() == ["atelier.E005"]


def test_queue_must_be_in_the_default_database(settings):
    settings.Q_CLUSTER = settings.Q_CLUSTER | {"orm": "other"}
    assert check_ids() == ["atelier.E006"]


def test_storage_must_be_a_folder(settings, tmp_path):
    (tmp_path / "file").touch()
    settings.STORAGES = settings.STORAGES | {"default": storage(tmp_path / "file" / "media")}
    assert check_ids() == ["atelier.E007"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_storage_must_be_writable(settings, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    settings.STORAGES = settings.STORAGES | {"default": storage(tmp_path / "closed")}
    assert check_ids() == ["atelier.E007"]


def test_a_ca_file_without_certificates_is_an_error(settings, tmp_path):
    settings.OUTBOUND_CA_FILE = str(tmp_path / "missing.pem")
    assert check_ids() == ["atelier.E008"]
    (tmp_path / "missing.pem").write_text("no certificate")
    assert check_ids() == ["atelier.E008"]
    settings.OUTBOUND_CA_FILE = str(write_self_signed(tmp_path / "ca.pem", "ca.test"))
    assert check_ids() == []
