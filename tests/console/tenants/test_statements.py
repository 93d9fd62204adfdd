"""Monthly statement of a business source, as a page and as a file."""

import csv
import io
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone
from openpyxl import load_workbook

from gpu_runner.protocol import Done
from jobs.admission.admit import admit
from jobs.execution import lifecycle
from jobs.models import Runner

pytestmark = pytest.mark.postgres


@pytest.fixture
def page(source):
    return f"/admin/access/businesssource/{source.pk}/statement/"


@pytest.fixture
def succeeded_job(submission):
    job = admit(submission())
    lease = lifecycle.claim(job.pk, Runner.objects.create(name="north", url="http://127.0.0.1:9"))
    lifecycle.succeed(lease, Done(engine_seconds=1, device_seconds=1, steps_run=job.steps), [])
    job.refresh_from_db()
    return job


def test_page_shows_the_current_month_by_model_and_key(ops, page, succeeded_job, key):
    response = ops.get(page)
    assert response.context["account"].jobs == 1
    assert response.context["account"].cost == succeeded_job.cost > 0
    assert key.key_id in response.content.decode()


def test_month_without_jobs_is_empty(ops, page, succeeded_job):
    assert ops.get(f"{page}?month=2020-01").context["account"].cost == Decimal(0)


def test_csv_has_the_jobs_of_the_month(ops, page, succeeded_job):
    response = ops.get(f"{page}?format=csv")
    (line,) = csv.DictReader(io.StringIO(response.content.decode("utf-8-sig")))
    assert (line["jobs"], line["model"], Decimal(line["cost"])) == ("1", "shapes", succeeded_job.cost)
    assert response.headers["Content-Disposition"] == (
        f'attachment; filename="shop-{timezone.localdate():%Y-%m}.csv"'
    )


def test_workbook_has_totals(ops, page, succeeded_job):
    sheet = load_workbook(io.BytesIO(ops.get(f"{page}?format=xlsx").content)).active
    assert [cell.value for cell in sheet[sheet.max_row]][4] == 1


@pytest.mark.parametrize("query", ["month=2026-13", "month=x", "month=0000-01", "format=exe", "month=2026-1"])
def test_invalid_month_or_format_is_not_found(ops, page, query):
    assert ops.get(f"{page}?{query}").status_code == 404


def as_role(client, django_user_model, role, source=None):
    user = django_user_model.objects.create_user(role, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    if source is not None:
        source.memberships.create(user=user)
    client.force_login(user)
    return client


def test_statement_requires_permission_to_view_costs(client, django_user_model, page):
    assert as_role(client, django_user_model, "finance").get(page).status_code == 200
    assert as_role(client, django_user_model, "viewer").get(page).status_code == 403


def test_tenant_sees_only_its_own_statement(client, django_user_model, page, source, other_source):
    tenant = as_role(client, django_user_model, "tenant", source)
    assert tenant.get(page).status_code == 200
    assert tenant.get(page.replace(str(source.pk), str(other_source.pk), 1)).status_code == 404


def test_charts_have_no_costs_without_permission(client, django_user_model, page):
    charts = page.replace("statement", "usage")
    viewer = as_role(client, django_user_model, "viewer").get(charts)
    assert len(viewer.context["charts"]) == 2
    assert "cost" not in [str(chart["title"]) for chart in viewer.context["charts"]]
