"""Roles, and the isolation of tenants in lists and filters."""

import pytest
from django.contrib.auth.models import AnonymousUser, Group
from django.core.management import call_command

from access.models import AccessKey, BusinessSource
from access.tenancy import visible_sources
from console.tenants.roles import ROLES
from jobs.admission.admit import admit


def test_every_role_is_a_group_after_migrating(db):
    assert {role.name for role in ROLES} <= set(Group.objects.values_list("name", flat=True))


def test_make_roles_resets_changed_permissions(db):
    viewer = Group.objects.get(name="viewer")
    before = set(viewer.permissions.values_list("codename", flat=True))
    viewer.permissions.clear()
    call_command("make_roles")
    assert set(viewer.permissions.values_list("codename", flat=True)) == before != set()


def test_tenant_user_without_membership_sees_nothing(sign_in, submission):
    admit(submission(external_id="order-17"))
    page = sign_in("tenant").get("/admin/jobs/job/").content.decode()
    assert "order-17" not in page
    assert "shop" not in page


def test_filters_offer_a_tenant_only_its_own_sources(sign_in, source, other_source):
    third = BusinessSource.objects.create(name="third")
    page = sign_in("tenant", source, third).get("/admin/access/accesskey/").content.decode()
    assert "shop" in page
    assert "third" in page
    assert "blog" not in page


def test_anonymous_user_sees_no_source(db, source):
    assert not visible_sources(AnonymousUser()).exists()


def test_admin_role_cannot_create_or_take_over_a_superuser(sign_in, django_user_model):
    someone = django_user_model.objects.create_user("someone")
    boss = django_user_model.objects.create_superuser("boss")
    client = sign_in("admin")
    page = client.get(f"/admin/auth/user/{someone.pk}/change/").content.decode()
    assert "is_superuser" not in page
    form = {"username": "someone", "is_superuser": "on", "is_active": "on", "memberships-TOTAL_FORMS": "0"}
    form |= {"memberships-INITIAL_FORMS": "0", "date_joined_0": "2026-01-01", "date_joined_1": "00:00"}
    assert client.post(f"/admin/auth/user/{someone.pk}/change/", form).status_code == 302
    someone.refresh_from_db()
    assert not someone.is_superuser
    assert client.get(f"/admin/auth/user/{boss.pk}/password/").status_code in {302, 404}


@pytest.mark.parametrize(("role", "sees"), [("viewer", False), ("operator", False), ("finance", True)])
def test_ledger_requires_permission_to_view_costs(sign_in, role, sees):
    assert sign_in(role).get("/admin/access/posting/").status_code == (200 if sees else 403)


def test_tenant_rotates_its_own_keys_only(sign_in, key, source, other_source):
    foreign, _secret = AccessKey.issue(other_source)
    before = {row.pk: row.secret for row in (key, foreign)}
    form = {"action": "rotate", "_selected_action": [key.pk, foreign.pk]}
    sign_in("tenant", source).post("/admin/access/accesskey/", form)
    after = dict(AccessKey.objects.values_list("pk", "secret"))
    assert (after[key.pk] != before[key.pk], after[foreign.pk] == before[foreign.pk]) == (True, True)
