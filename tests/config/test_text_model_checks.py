"""System checks of TEXT_MODEL_*."""

import pytest
from django.core.checks import run_checks

URL = "http://127.0.0.1:8000/v1"


def check_ids() -> list[str]:
    found = [message for message in run_checks() if message.id.startswith("atelier.E")]
    assert all(message.hint for message in found)
    return [message.id for message in found if "atelier.E009" <= message.id <= "atelier.E013"]


def test_no_text_model_is_valid():
    assert check_ids() == []


def test_complete_text_model_is_valid(settings):
    settings.TEXT_MODEL_URL, settings.TEXT_MODEL_NAME, settings.TEXT_MODEL_KEY = URL, "qwen", ""
    settings.TEXT_MODEL_OPTIONS = {"enable_thinking": False}
    assert check_ids() == []


def test_vision_model_alone_is_valid(settings):
    settings.TEXT_MODEL_URL, settings.TEXT_MODEL_VISION = URL, "qwen-vl"
    assert check_ids() == []


@pytest.mark.parametrize("name", ["TEXT_MODEL_KEY", "TEXT_MODEL_NAME", "TEXT_MODEL_VISION"])
def test_setting_without_a_url_is_an_error(settings, name):
    setattr(settings, name, "something")
    assert check_ids() == ["atelier.E009"]


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000", "ftp://host/v1", "http://", "http://me:secret@host/v1", "http://[::1"]
)
def test_invalid_url_is_an_error(settings, url):
    settings.TEXT_MODEL_URL, settings.TEXT_MODEL_NAME = url, "qwen"
    assert check_ids() == ["atelier.E010"]


def test_url_without_a_model_is_an_error(settings):
    settings.TEXT_MODEL_URL = URL
    assert check_ids() == ["atelier.E011"]


@pytest.mark.parametrize(
    ("name", "value", "check"),
    [("TEXT_MODEL_OPTIONS", ["a"], "atelier.E012"), ("TEXT_MODEL_TIMEOUT_S", 0, "atelier.E013")],
)
def test_invalid_value_is_an_error(settings, name, value, check):
    settings.TEXT_MODEL_URL, settings.TEXT_MODEL_NAME = URL, "qwen"
    setattr(settings, name, value)
    assert check_ids() == [check]
