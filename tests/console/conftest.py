"""Fixtures of the console's tests: signed-in clients, list actions and secrets in responses."""

import re

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from access.models import Membership

SECRET = re.compile(r"[A-Za-z0-9_-]{43}")  # format of secrets from AccessKey.issue


@pytest.fixture
def ops(admin_client: Client) -> Client:
    return admin_client


@pytest.fixture
def act(ops):
    """Runs a list action, as the page does: ``act("jobs/job", "cancel", job)``."""

    def act(page: str, action: str, *rows):
        form = {"action": action, "_selected_action": [row.pk for row in rows]}
        return ops.post(f"/admin/{page}/", form, follow=True)

    return act


@pytest.fixture
def secrets_in():
    return lambda response: SECRET.findall(response.content.decode())


@pytest.fixture
def sign_in(client, django_user_model):
    """Client signed in as a new user with a role and memberships: ``sign_in("tenant", source)``."""

    def sign_in(role: str, *sources):
        user = django_user_model.objects.create_user(f"a-{role}", is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        Membership.objects.bulk_create(Membership(user=user, source=source) for source in sources)
        client.force_login(user)
        return client

    return sign_in
