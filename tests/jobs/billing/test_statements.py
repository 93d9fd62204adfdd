"""A statement sums the settled postings of a month."""

import csv
import io
import json
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from openpyxl import load_workbook

from access.models import AccessKey
from gpu_runner.protocol import Done
from jobs.admission import admit as admission
from jobs.admission.admit import admit
from jobs.billing.statement_export import FORMATS
from jobs.billing.statements import Line, months, statement
from jobs.execution import lifecycle
from jobs.models import Job
from tests.jobs.execution.test_lifecycle import output_of

SHANGHAI = ZoneInfo("Asia/Shanghai")
MAY = date(2026, 5, 1)


@pytest.fixture
def on(monkeypatch):
    """``on(moment)``: sets the time of admission."""
    return lambda moment: monkeypatch.setattr(admission.timezone, "now", lambda: moment)


@pytest.fixture
def settled_job(submission, runner):
    def settled_job(**fields) -> Job:
        job = admit(submission(num_inference_steps=10, **fields))
        lease = lifecycle.claim(job.pk, runner)
        lifecycle.succeed(lease, Done(engine_seconds=1, device_seconds=1, steps_run=10), [output_of(job)])
        return job

    return settled_job


def test_settled_jobs_are_summed_by_day_dialect_model_and_key(settled_job, source, key):
    other_key = AccessKey.issue(source)[0]
    first = settled_job()
    settled_job()
    settled_job(key=other_key)
    settled_job(key=None, dialect="smzdm")
    report = statement(source, first.created_at.date())
    assert sorted(
        (line.dialect, line.model, line.key, line.jobs, line.images) for line in report.lines
    ) == sorted(
        [
            ("a1111", "shapes", key.key_id, 2, 2),
            ("a1111", "shapes", other_key.key_id, 1, 1),
            ("smzdm", "shapes", "", 1, 1),
        ]
    )
    assert (report.jobs, report.images, report.cost) == (4, 4, 4 * first.cost_estimate)
    assert [(line.dialect, line.jobs) for line in report.by("dialect")] == [("a1111", 3), ("smzdm", 1)]


def test_failed_and_queued_jobs_are_not_billed(submission, source, lease, job):
    lifecycle.fail(lease, "internal", "It broke.")
    admit(submission())
    assert statement(source, job.created_at.date()).lines == []


def test_statement_excludes_jobs_of_other_sources(settled_job, other_source):
    assert statement(other_source, settled_job().created_at.date()).lines == []


def test_days_are_in_the_configured_time_zone(settings, on, settled_job, source):
    settings.TIME_ZONE = "Asia/Shanghai"
    midnight = datetime(2026, 5, 1, tzinfo=SHANGHAI)
    for moment in (midnight - timedelta(seconds=1), midnight):
        on(moment)
        settled_job()
    assert [line.day for line in statement(source, date(2026, 4, 7)).lines] == [date(2026, 4, 30)]
    assert [line.day for line in statement(source, MAY).lines] == [MAY]
    assert months(source) == [MAY, date(2026, 4, 1)]


def test_statement_is_kept_after_jobs_and_keys_are_deleted(settled_job, source, key):
    job = settled_job()
    Job.objects.all().delete()
    key_pk = key.pk
    key.delete()
    (line,) = statement(source, job.created_at.date()).lines
    assert (line.key, line.model, line.cost) == (f"#{key_pk}", "shapes", job.cost_estimate)


@pytest.fixture
def report(settled_job, source):
    return statement(source, settled_job(checkpoint="shapes").created_at.date())


def test_all_file_formats_have_the_same_content(report):
    (line,) = report.lines
    (row,) = csv.DictReader(io.StringIO(FORMATS["csv"](report).decode("utf-8-sig")))
    assert (
        Line(
            **row
            | {"day": date.fromisoformat(row["day"]), "jobs": int(row["jobs"])}
            | {"images": int(row["images"]), "cost": Decimal(row["cost"])}
        )
        == line
    )
    document = json.loads(FORMATS["json"](report))
    assert (document["source"], document["cost"]) == ("shop", str(line.cost))
    assert document["lines"][0]["day"] == line.day.isoformat()
    sheet = load_workbook(io.BytesIO(FORMATS["xlsx"](report))).active
    assert [cell.value for cell in sheet[2]][1:6] == ["a1111", "shapes", line.key, 1, 1]
    assert sheet.cell(3, 7).value == pytest.approx(float(line.cost))


def test_costs_have_six_decimals(report):
    (row,) = csv.DictReader(io.StringIO(FORMATS["csv"](report).decode("utf-8-sig")))
    assert row["cost"] == f"{report.cost:.6f}" == json.loads(FORMATS["json"](report))["cost"]


@pytest.mark.parametrize("format", ["csv", "xlsx"])
def test_model_name_is_escaped_against_formula_injection(report, format):
    malicious = replace(report, lines=[replace(report.lines[0], model="=HYPERLINK(1)")])
    content = FORMATS[format](malicious)
    if format == "csv":
        assert "'=HYPERLINK" in content.decode()
    else:
        assert load_workbook(io.BytesIO(content)).active.cell(2, 3).value == "'=HYPERLINK(1)"


def test_command_writes_the_file(report, tmp_path):
    target = tmp_path / "bill.csv"
    call_command("statement", "shop", f"{report.month:%Y-%m}", "--output", str(target))
    assert target.read_bytes() == FORMATS["csv"](report)


@pytest.mark.parametrize("arguments", [["unknown", "2026-11"], ["shop", "November"], ["shop", "2026-13"]])
def test_command_reports_invalid_arguments(arguments, source):
    with pytest.raises(CommandError, match=r"source not found|not a month"):
        call_command("statement", *arguments)
