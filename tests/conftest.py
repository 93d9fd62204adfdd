import os

from django.conf import settings

SECRET_KEY = "only for tests"


def pytest_configure() -> None:
    """The settings module is loaded before any conftest, so the key goes to both: settings, and child processes."""
    os.environ.setdefault("SECRET_KEY", SECRET_KEY)
    settings.SECRET_KEY = os.environ["SECRET_KEY"]
