"""Users of the console, as operators add them."""

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from access.models import Membership

ADD = "/admin/auth/user/add/"
PASSWORD = "tulips-and-2026-roses"


@pytest.mark.slow  # two password hashes
def test_new_user_with_a_role_and_a_source_signs_in_at_once(ops, source):
    tenant = Group.objects.get(name="tenant")
    form = {"username": "fiona", "password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    form |= {"groups": [tenant.pk], "memberships-TOTAL_FORMS": "1", "memberships-INITIAL_FORMS": "0"}
    form |= {"memberships-0-source": source.pk}
    response = ops.post(ADD, form)
    assert response.status_code == 302, response.context["errors"]
    assert Membership.objects.get().source == source
    client = Client()
    assert client.post("/admin/login/", {"username": "fiona", "password": PASSWORD}).status_code == 302
    assert "Overview" in client.get("/admin/").content.decode()
