"""Keys from their source's page: a secret is on the page that answers the POST, and on no other."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from access.authentication import authenticate
from access.models import AccessKey

ADDRESS = "10.1.2.3"


@pytest.fixture
def page(source):
    return f"/admin/access/businesssource/{source.pk}"


def shown(response, what):
    return re.search(rf'<code id="{what}"[^>]*>(.*?)</code>', response.content.decode()).group(1)


def test_a_new_key_is_shown_once_with_a_line_to_try_it(ops, page, source):
    assert "Create the key" in ops.get(f"{page}/new-key/").content.decode()
    response = ops.post(
        f"{page}/new-key/", {"note": "web shop", "dialects": ["a1111"], "networks": "10.0.0.0/8"}
    )
    key, secret = AccessKey.objects.get(), shown(response, "key-secret")
    assert authenticate(key.key_id, secret, dialect="a1111", address=ADDRESS) == key
    assert (key.note, key.dialects, key.networks) == ("web shop", ["a1111"], ["10.0.0.0/8"])
    assert f"Bearer {key.key_id}:{secret}" in response.content.decode()
    assert "no-store" in response.headers["Cache-Control"]
    for address in ("new-key/", "change/", "usage/"):
        assert secret not in ops.get(f"{page}/{address}").content.decode()


def test_looking_at_the_page_makes_no_key(ops, page):
    ops.get(f"{page}/new-key/")
    ops.get(f"{page}/temporary-key/")
    assert not AccessKey.objects.exists()


@pytest.mark.parametrize("form", [{"networks": "home"}, {"dialects": ["klingon"]}, {"note": "x" * 201}])
def test_a_wrong_answer_makes_no_key(ops, page, form):
    assert set(ops.post(f"{page}/new-key/", form).context["form"].errors) == set(form)
    assert not AccessKey.objects.exists()


def test_a_temporary_key_has_a_session_token_and_ends_by_itself(ops, page):
    response = ops.post(f"{page}/temporary-key/", {"minutes": "15"})
    key = AccessKey.objects.get()
    assert key.proves(shown(response, "key-secret"))
    assert key.accepts_token(shown(response, "key-token"))
    assert timedelta(minutes=14) < key.expires_at - timezone.now() <= timedelta(minutes=15)


@pytest.mark.parametrize("minutes", ["0", "-5", "2161", "soon", ""])
def test_a_temporary_key_of_another_length_is_refused(ops, page, minutes):
    ops.post(f"{page}/temporary-key/", {"minutes": minutes})
    assert not AccessKey.objects.exists()


def test_a_new_secret_is_asked_for_first_and_ends_the_old_one(ops, source):
    key, old = AccessKey.issue(source)
    address = f"/admin/access/accesskey/{key.pk}/new-secret/"
    assert "denied at once" in ops.get(address).content.decode()
    assert AccessKey.objects.get().proves(old)
    new = shown(ops.post(address), "key-secret")
    assert AccessKey.objects.get().proves(new)
    assert not AccessKey.objects.get().proves(old)


def test_a_revoked_key_is_disabled_after_a_question(ops, key):
    address = f"/admin/access/accesskey/{key.pk}/revoke/"
    ops.get(address)
    assert AccessKey.objects.get().enabled
    assert "is revoked" in ops.post(address, follow=True).content.decode()
    assert not AccessKey.objects.get().enabled


@pytest.fixture
def tenant(client, django_user_model, other_source):
    """Of another source, with every right on it."""
    user = django_user_model.objects.create_user("tenant", is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    other_source.memberships.create(user=user)
    client.force_login(user)
    return client


@pytest.mark.parametrize("action", ["new-key", "temporary-key", "usage"])
def test_a_tenant_reaches_no_other_source(tenant, page, action):
    assert tenant.post(f"{page}/{action}/", {"minutes": "5"}).status_code == 404
    assert not AccessKey.objects.exists()


@pytest.mark.parametrize("action", ["new-secret", "revoke"])
def test_a_tenant_reaches_no_other_key(tenant, key, action):
    before = AccessKey.objects.values().get()
    assert tenant.post(f"/admin/access/accesskey/{key.pk}/{action}/").status_code == 404
    assert AccessKey.objects.values().get() == before


@pytest.mark.parametrize("action", ["new-key", "temporary-key"])
def test_who_may_only_look_makes_no_key(client, django_user_model, page, action):
    user = django_user_model.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    assert client.post(f"{page}/{action}/", {"minutes": "5"}).status_code == 403
    assert not AccessKey.objects.exists()
