"""Access keys in the console: secrets are shown once, and keys can be edited."""

import re

import pytest

from access.keys.authentication import authenticate
from access.models import AccessKey


def code_elements(response) -> list[str]:
    return re.findall(r"<code>(.*?)</code>", response.content.decode())


def test_creating_a_key_shows_its_secret_once(act, ops, source):
    response = act("access/businesssource", "create_key", source)
    key_id, secret = code_elements(response)
    assert authenticate(key_id, secret, dialect="a1111", address="::1").source == source
    assert "no-store" in response.headers["Cache-Control"]
    for page in (
        "/admin/",
        "/admin/access/accesskey/",
        f"/admin/access/businesssource/{source.pk}/change/?tab=keys",
    ):
        assert secret not in ops.get(page).content.decode()
    assert (
        secret
        not in ops.get(f"/admin/access/accesskey/{AccessKey.objects.get().pk}/change/").content.decode()
    )


def test_rotating_a_key_shows_a_new_secret(act, key):
    _key_id, secret = code_elements(act("access/accesskey", "rotate", key))
    assert AccessKey.objects.get().proves(secret)


def test_staff_without_permission_cannot_create_a_key(client, django_user_model, source):
    client.force_login(django_user_model.objects.create_user("viewer", is_staff=True))
    client.post("/admin/access/businesssource/", {"action": "create_key", "_selected_action": [source.pk]})
    assert not AccessKey.objects.exists()


def test_saving_a_key_keeps_its_secret(ops, source):
    key, secret = AccessKey.issue(source)
    form = {"note": "till May", "enabled": "on", "dialects": ["native"], "networks": "10.0.0.0/8"}
    form |= {"expires_at_0": "2099-01-01", "expires_at_1": "00:00"}
    assert ops.post(f"/admin/access/accesskey/{key.pk}/change/", form).status_code == 302
    saved = AccessKey.objects.get()
    assert (saved.note, saved.networks, saved.proves(secret)) == ("till May", ["10.0.0.0/8"], True)


def test_keys_can_be_edited_after_the_encryption_key_is_lost(ops, key, settings):
    settings.FIELD_ENCRYPTION_KEYS = ["another"]
    for page in ("", f"{key.pk}/change/"):
        assert ops.get(f"/admin/access/accesskey/{page}").status_code == 200
    assert ops.get(f"/admin/access/businesssource/{key.source.pk}/change/?tab=keys").status_code == 200


@pytest.mark.parametrize("networks", ["home", "{", "10.0.0.0/8, 11.0.0.0/8"])
def test_invalid_networks_are_refused_on_the_page_of_a_key(ops, key, networks):
    form = {"note": "", "networks": networks}
    response = ops.post(f"/admin/access/accesskey/{key.pk}/change/", form)
    assert "networks" in response.context["adminform"].form.errors


def test_sign_in_at_its_own_page_leads_to_the_console(client, admin_user):
    response = client.post("/admin/login/", {"username": "admin", "password": "password"}, follow=True)
    assert response.redirect_chain == [("/admin/", 302)]
    assert response.status_code == 200
