"""A source's page as tabs: each one saves its own fields only."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.utils import timezone

from access.models import BusinessSource
from console.dashboard.hourly_figures import update_hourly_figures
from console.tenants.overview import days_of
from jobs.admission.admit import admit
from jobs.models import Job, State

TABS = [tab.name for tab in admin.site.get_model_admin(BusinessSource).tabs]


def page(source, tab) -> str:
    return f"/admin/access/businesssource/{source.pk}/change/?tab={tab}"


def values(source) -> dict[str, object]:
    return BusinessSource.objects.values().get(pk=source.pk)


def form_of(response) -> dict[str, object]:
    """What a browser would send back, as shown."""
    form = response.context["adminform"].form
    shown = {name: form[name].value() for name in form.fields}
    sent = {name: value for name, value in shown.items() if value not in (None, False, [])}
    for inline in response.context["inline_admin_formsets"]:
        sent |= {
            f"{inline.formset.prefix}-{name}": inline.formset.management_form[name].value()
            for name in ("TOTAL_FORMS", "INITIAL_FORMS")
        }
        for keys in inline.formset.initial_forms:
            sent |= {
                keys.add_prefix(name): keys[name].value()
                for name in keys.fields
                if keys[name].value() is not None
            }
    return sent


def test_every_field_of_a_source_is_on_exactly_one_tab():
    source_page = admin.site.get_model_admin(BusinessSource)
    shown = [name for tab in source_page.tabs for name in flatten_fieldsets(tab.fieldsets)]
    stored = {field.name for field in BusinessSource._meta.concrete_fields if field.editable} - {"id"}
    assert stored == set(shown) - set(source_page.readonly_fields)
    assert len(shown) == len(set(shown))


@pytest.mark.django_db
@pytest.mark.parametrize("tab", TABS)
def test_saving_a_tab_as_it_is_shown_changes_nothing_and_stays_there(ops, source, key, tab):
    BusinessSource.objects.update(
        networks=["10.0.0.0/8"],
        strict=True,
        prompt_modes={"native": "expand"},
        nsfw_words=["x"],
        title="Shop",
    )
    before = values(source)
    response = ops.post(page(source, tab), form_of(ops.get(page(source, tab))))
    assert response.status_code == 302, response.context["errors"]
    assert response.url.endswith(f"/{source.pk}/change/" + (f"?tab={tab}" if tab != "overview" else ""))
    assert values(source) == before


def test_two_tabs_saved_at_the_same_time_keep_both_changes(ops, source, monkeypatch):
    """The other tab is saved after this one was read from the database and before it is written."""
    written = BusinessSource.save

    def save_late(self, **options):
        BusinessSource.objects.filter(pk=self.pk).update(images_per_day=7)
        written(self, **options)

    monkeypatch.setattr(BusinessSource, "save", save_late)
    form = form_of(ops.get(page(source, "size-limits"))) | {"max_width": 512}
    assert ops.post(page(source, "size-limits"), form).status_code == 302
    source.refresh_from_db()
    assert (source.images_per_day, source.max_width) == (7, 512)


def test_a_tab_ignores_fields_of_other_tabs(ops, source):
    form = form_of(ops.get(page(source, "retention"))) | {
        "keep_jobs_days": 9,
        "max_width": 64,
        "strict": "on",
    }
    assert ops.post(page(source, "retention"), form).status_code == 302
    source.refresh_from_db()
    assert (source.keep_jobs_days, source.max_width, source.strict) == (9, 2048, False)


def test_error_is_shown_on_its_tab(ops, source):
    response = ops.post(page(source, "images"), {"nsfw_policy": "off", "explicit_label": "off"})
    assert response.context["tab"].name == "images"
    assert set(response.context["adminform"].form.errors) == {"unlabeled_consent", "unlabeled_consent_on"}
    assert 'aria-current="page">Images' in response.content.decode()


def test_invalid_value_of_another_tab_does_not_block_this_one(ops, source):
    BusinessSource.objects.update(burst=5, requests_per_second=None)  # as set by a command
    form = form_of(ops.get(page(source, "retention"))) | {"keep_jobs_days": 9}
    assert ops.post(page(source, "retention"), form).status_code == 302
    assert (
        ops.post(page(source, "rate-limits"), form_of(ops.get(page(source, "rate-limits")))).status_code
        == 200
    )


def test_unknown_tab_is_not_found(ops, source):
    assert ops.get(page(source, "secrets")).status_code == 404
    assert ops.post(page(source, "secrets"), {}).status_code == 404


def test_new_source_needs_a_name_only_and_leads_to_its_first_key(ops):
    add = "/admin/access/businesssource/add/"
    assert set(ops.get(add).context["adminform"].form.fields) == {"name", "title"}
    shown = ops.post(add, {"name": "shop", "title": "Shop"}, follow=True)
    source = BusinessSource.objects.get(name="shop")
    assert shown.redirect_chain[-1][0] == f"/admin/access/businesssource/{source.pk}/change/"
    assert f"/admin/access/businesssource/{source.pk}/new-key/" in shown.content.decode()
    assert "it has no access key" in shown.content.decode()


def test_key_is_changed_on_the_tab_of_the_keys(ops, source, key):
    form = form_of(ops.get(page(source, "keys"))) | {"keys-0-note": "web shop"}
    assert ops.post(page(source, "keys"), form).status_code == 302
    key.refresh_from_db()
    assert key.note == "web shop"


@pytest.fixture
def ended(submission):
    def ended(days_ago, state, wait_s=0, run_s=0, **fields):
        job = admit(submission(**fields))
        end = timezone.now() - timedelta(days=days_ago)
        start = end - timedelta(seconds=run_s)
        times = {"created_at": start - timedelta(seconds=wait_s), "started_at": start, "finished_at": end}
        Job.objects.filter(pk=job.pk).update(state=state, cost=Decimal("1.5"), **times)

    return ended


def test_charts_show_jobs_failures_cost_and_mean_latency_by_day(ops, ended, source, other_source):
    ended(0, State.SUCCEEDED, wait_s=2, run_s=4)
    ended(0, State.SUCCEEDED, wait_s=4, run_s=8)
    ended(0, State.FAILED, wait_s=100, run_s=100)
    ended(3, State.EXPIRED)
    ended(0, State.SUCCEEDED, source=other_source, key=None)
    update_hourly_figures()
    days = days_of(source)
    assert len(days) == 30
    today = days[-1]
    assert (today.jobs, today.failed, today.cost) == (3, 1, Decimal("4.5"))
    assert (round(today.wait_s, 3), round(today.run_s, 3)) == (3, 6)
    assert (days[-4].jobs, days[-4].failed, days[-4].wait_s) == (1, 1, 0)
    charts = {chart["title"]: chart for chart in ops.get(page(source, "overview")).context["charts"]}
    assert charts["Jobs"]["total"] == "4"
    assert charts["Failures"]["total"] == "2 (50.0%)"
    assert charts["Cost units"]["total"] == "6.00"
    assert charts["Mean latency in seconds"]["total"] == "9.0"
    assert len(json.loads(charts["Jobs"]["data"])["labels"]) == 30


def test_charts_have_jobs_that_are_not_summed_up_yet_and_count_no_job_twice(ended, source, other_source):
    ended(0, State.SUCCEEDED, wait_s=2, run_s=4)
    update_hourly_figures()
    ended(0, State.SUCCEEDED, wait_s=4, run_s=8)
    ended(0, State.SUCCEEDED, source=other_source, key=None)
    today = days_of(source)[-1]
    assert (today.jobs, today.cost, round(today.wait_s, 3), round(today.run_s, 3)) == (2, 3, 3, 6)


def test_costs_are_hidden_from_roles_without_them(sign_in, source):
    charts = sign_in("viewer").get(page(source, "overview")).context["charts"]
    assert "Cost units" not in [chart["title"] for chart in charts]
