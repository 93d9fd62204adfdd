import re

import pytest
from django.test import Client

SECRET = re.compile(r"[A-Za-z0-9_-]{43}")  # what AccessKey.issue makes


@pytest.fixture
def ops(admin_client: Client) -> Client:
    return admin_client


@pytest.fixture
def act(ops):
    """Runs an action of a list as its page does: ``act("jobs/job", "cancel", job)``."""

    def act(page: str, action: str, *rows):
        form = {"action": action, "_selected_action": [row.pk for row in rows]}
        return ops.post(f"/admin/{page}/", form, follow=True)

    return act


@pytest.fixture
def secrets_in():
    return lambda response: SECRET.findall(response.content.decode())
