"""Access keys on the pages of sources and keys. A secret is shown only on the page that answers the POST."""

import html
import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from access.keys.authentication import authenticate
from access.keys.bearer_tokens import bearer_credentials
from access.models import AccessKey

ADDRESS = "10.1.2.3"


@pytest.fixture
def page(source):
    return f"/admin/access/businesssource/{source.pk}"


def code_element(response, element_id):
    return re.search(rf'<code id="{element_id}"[^>]*>(.*?)</code>', response.content.decode()).group(1)


def commands_on(response) -> dict[str, str]:
    """The example requests by dialect."""
    found = re.findall(r'<pre id="example-(\w+)"[^>]*>(.*?)</pre>', response.content.decode(), re.DOTALL)
    return {dialect: html.unescape(command) for dialect, command in found}


def test_new_key_is_shown_once_with_an_example_request(ops, page, source):
    assert "Create the key" in ops.get(f"{page}/new-key/").content.decode()
    response = ops.post(
        f"{page}/new-key/", {"note": "web shop", "dialects": ["a1111"], "networks": "10.0.0.0/8"}
    )
    key, secret = AccessKey.objects.get(), code_element(response, "key-secret")
    assert authenticate(key.key_id, secret, dialect="a1111", address=ADDRESS) == key
    assert (key.note, key.dialects, key.networks) == ("web shop", ["a1111"], ["10.0.0.0/8"])
    assert list(commands_on(response)) == ["a1111"]
    assert f"export SECRET={secret}\n" in commands_on(response)["a1111"]
    assert f"KEY_ID={key.key_id}\n" in commands_on(response)["a1111"]
    assert "no-store" in response.headers["Cache-Control"]
    for address in ("new-key/", "change/", "usage/"):
        assert secret not in ops.get(f"{page}/{address}").content.decode()


def test_new_key_is_also_shown_as_one_bearer_token(ops, page):
    response = ops.post(f"{page}/new-key/", {})
    key, secret = AccessKey.objects.get(), code_element(response, "key-secret")
    token = code_element(response, "key-bearer-token")
    assert bearer_credentials(f"Bearer {token}") == (key.key_id, secret)
    assert 'data-copy="key-bearer-token"' in response.content.decode()
    temporary = ops.post(f"{page}/temporary-key/", {"minutes": "15"})
    assert "key-bearer-token" not in temporary.content.decode()  # useless without the session token


def test_get_request_creates_no_key(ops, page):
    ops.get(f"{page}/new-key/")
    ops.get(f"{page}/temporary-key/")
    assert not AccessKey.objects.exists()


@pytest.mark.parametrize("form", [{"networks": "home"}, {"dialects": ["klingon"]}, {"note": "x" * 201}])
def test_invalid_form_creates_no_key(ops, page, form):
    assert set(ops.post(f"{page}/new-key/", form).context["form"].errors) == set(form)
    assert not AccessKey.objects.exists()


def test_temporary_key_has_a_session_token_and_expires(ops, page):
    response = ops.post(f"{page}/temporary-key/", {"minutes": "15"})
    key = AccessKey.objects.get()
    assert key.proves(code_element(response, "key-secret"))
    assert key.accepts_token(code_element(response, "key-token"))
    assert timedelta(minutes=14) < key.expires_at - timezone.now() <= timedelta(minutes=15)


@pytest.mark.parametrize("minutes", ["0", "-5", "2161", "soon", ""])
def test_invalid_lifetime_is_refused(ops, page, minutes):
    ops.post(f"{page}/temporary-key/", {"minutes": minutes})
    assert not AccessKey.objects.exists()


def test_rotation_is_confirmed_and_replaces_the_secret(ops, source):
    key, old = AccessKey.issue(source)
    address = f"/admin/access/accesskey/{key.pk}/new-secret/"
    assert "becomes invalid immediately" in ops.get(address).content.decode()
    assert AccessKey.objects.get().proves(old)
    new = code_element(ops.post(address), "key-secret")
    assert AccessKey.objects.get().proves(new)
    assert not AccessKey.objects.get().proves(old)


def test_revocation_is_confirmed_and_disables_the_key(ops, key):
    address = f"/admin/access/accesskey/{key.pk}/revoke/"
    ops.get(address)
    assert AccessKey.objects.get().enabled
    assert "is revoked" in ops.post(address, follow=True).content.decode()
    assert not AccessKey.objects.get().enabled


@pytest.fixture
def tenant(client, django_user_model, other_source):
    """Client of a user with all permissions and a membership in another source."""
    user = django_user_model.objects.create_user("tenant", is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    other_source.memberships.create(user=user)
    client.force_login(user)
    return client


@pytest.mark.parametrize("action", ["new-key", "temporary-key", "usage"])
def test_foreign_source_is_not_found(tenant, page, action):
    assert tenant.post(f"{page}/{action}/", {"minutes": "5"}).status_code == 404
    assert not AccessKey.objects.exists()


@pytest.mark.parametrize("action", ["new-secret", "revoke"])
def test_foreign_key_is_not_found(tenant, key, action):
    before = AccessKey.objects.values().get()
    assert tenant.post(f"/admin/access/accesskey/{key.pk}/{action}/").status_code == 404
    assert AccessKey.objects.values().get() == before


@pytest.mark.parametrize("action", ["new-key", "temporary-key"])
def test_creating_a_key_requires_permission(client, django_user_model, page, action):
    user = django_user_model.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    assert client.post(f"{page}/{action}/", {"minutes": "5"}).status_code == 403
    assert not AccessKey.objects.exists()


def test_only_operators_permit_a_key_to_manage_models(sign_in, source):
    key, _secret = AccessKey.issue(source)
    address = f"/admin/access/accesskey/{key.pk}/change/"
    form = {"note": "mine", "enabled": "on", "manages_models": "on"}
    assert sign_in("admin", source).post(address, form).status_code == 302
    key.refresh_from_db()
    assert (key.note, key.manages_models) == ("mine", False)


def test_operator_permits_a_key_to_manage_models(ops, source):
    key, _secret = AccessKey.issue(source)
    address = f"/admin/access/accesskey/{key.pk}/change/"
    assert "Manages models" in ops.get(address).content.decode()
    assert ops.post(address, {"enabled": "on", "manages_models": "on"}).status_code == 302
    key.refresh_from_db()
    assert key.manages_models


def test_page_of_a_key_shows_a_request_in_each_dialect_of_key_and_source(ops, source, secrets_in):
    key, secret = AccessKey.issue(source, dialects=["a1111", "native", "openai"])
    page = f"/admin/access/accesskey/{key.pk}/change/?tab=requests"
    assert list(commands_on(ops.get(page))) == ["native", "a1111", "openai"]
    source.dialects = ["native", "volcengine"]
    source.save()
    response = ops.get(page)
    assert list(commands_on(response)) == ["native"]
    assert f"KEY_ID={key.key_id}\n" in commands_on(response)["native"]
    assert '<pre id="example-native-python"' in response.content.decode()
    assert 'name="_save"' not in response.content.decode()  # there is nothing to save
    assert secret not in response.content.decode()


def test_temporary_key_has_no_example_without_its_token(ops, source):
    key, _secret, _token = AccessKey.issue_temporary(source, timedelta(minutes=5))
    page = ops.get(f"/admin/access/accesskey/{key.pk}/change/?tab=requests")
    assert commands_on(page) == {}
    assert "must send its session token" in page.content.decode()
