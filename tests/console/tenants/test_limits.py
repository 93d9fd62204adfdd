"""Limits on the pages of sources and keys, with their current usage."""

from decimal import Decimal

import pytest

from access.models import AccessKey, BusinessSource
from jobs.admission.admit import admit

pytestmark = pytest.mark.slow

LISTS = {"dialects", "networks", "keyless_networks", "reachable", "allowed_models"}


def page(row, tab="") -> str:
    return f"/admin/access/{row._meta.model_name}/{row.pk}/change/" + (f"?tab={tab}" if tab else "")


def form_of(response) -> dict[str, object]:
    """The form data that a browser would submit."""
    form = response.context["adminform"].form
    values = {name: form[name].value() for name in form.fields}
    return {name: value for name, value in values.items() if value not in (None, False, [])}


@pytest.mark.parametrize(
    ("tab", "limits"),
    [
        ("quotas", {"images_per_day": 100, "total_budget": Decimal("12.5")}),
        ("rate-limits", {"requests_per_second": 2.5, "burst": 5}),
    ],
)
def test_limits_are_changed_on_the_page_of_the_source(ops, source, tab, limits):
    form = form_of(ops.get(page(source, tab))) | limits
    response = ops.post(page(source, tab), form)
    assert response.status_code == 302, response.context["errors"]
    source.refresh_from_db()
    assert {name: getattr(source, name) for name in limits} == limits


def test_lists_are_edited_one_entry_per_line(ops, source, key):
    lists = {
        "networks": "10.0.0.0/8\n192.168.0.0/16",
        "reachable": "a.lan\n10.1.0.0/16",
        "dialects": ["native"],
    }
    assert (
        ops.post(page(source, "access"), form_of(ops.get(page(source, "access"))) | lists).status_code == 302
    )
    source.refresh_from_db()
    assert (source.networks, source.dialects) == (["10.0.0.0/8", "192.168.0.0/16"], ["native"])
    assert source.reachable == ["a.lan", "10.1.0.0/16"]
    assert "a.lan\n10.1.0.0/16" in ops.get(page(source, "access")).content.decode()
    models = {"allowed_models": "checkpoint:old shapes\nlora:"}
    assert ops.post(page(key), form_of(ops.get(page(key))) | models).status_code == 302
    key.refresh_from_db()
    assert key.allowed_models == ["checkpoint:old shapes", "lora:"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("allowed_models", "checkpoints:shapes"),
        ("allowed_models", "shapes"),
        ("images_per_day", "-1"),
        ("cost_per_day", "many"),
        ("requests_per_second", "0"),
        ("burst", "3"),
        ("networks", "home"),
        ("dialects", ["klingon"]),
    ],
)
def test_invalid_limit_is_refused(ops, key, field, value):
    response = ops.post(page(key), form_of(ops.get(page(key))) | {field: value})
    assert field in response.context["adminform"].form.errors
    assert AccessKey.objects.get().allowed_models == []


@pytest.mark.parametrize("holder", ["source", "key"])
def test_usage_is_shown_beside_the_limits(ops, submission, source, key, holder):
    tabs = {"source": ("quotas", "rate-limits"), "key": ("",)}[holder]
    BusinessSource.objects.update(images_per_day=10, total_budget=Decimal("0.1"))
    AccessKey.objects.update(images_per_day=10, total_budget=Decimal("0.1"))
    admit(submission(num_images=2, num_inference_steps=10))
    row = {"source": source, "key": key}[holder]
    text = "".join(ops.get(page(row, tab)).content.decode() for tab in tabs)
    assert "0 running, 1 queued" in text
    assert "2 images, 0.08 cost units" in text
    assert "(20%)" in text
    assert "(82%)" in text


def test_tenant_sees_its_limits_but_cannot_change_them(sign_in, source):
    tenant = sign_in("tenant", source)
    assert "2048" in tenant.get(page(source, "size-limits")).content.decode()
    assert tenant.post(page(source, "quotas"), {"images_per_day": 10_000}).status_code == 403
