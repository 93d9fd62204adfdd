"""A statement is the ledger's settled postings of a month, and nothing else."""

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
from tests.jobs.execution.test_lifecycle import picture

SHANGHAI = ZoneInfo("Asia/Shanghai")
MAY = date(2026, 5, 1)


@pytest.fixture
def on(monkeypatch):
    """``on(moment)``: what is admitted from now on is admitted then."""
    return lambda moment: monkeypatch.setattr(admission.timezone, "now", lambda: moment)


@pytest.fixture
def drawn(submission, runner):
    def drawn(**asked) -> Job:
        job = admit(submission(num_inference_steps=10, **asked))
        lease = lifecycle.claim(job.pk, runner)
        lifecycle.succeed(lease, Done(engine_seconds=1, device_seconds=1, steps_run=10), [picture(job)])
        return job

    return drawn


def test_settled_jobs_are_summed_by_day_dialect_model_and_key(drawn, source, key):
    other_key = AccessKey.issue(source)[0]
    first = drawn()
    drawn()
    drawn(key=other_key)
    drawn(key=None, dialect="smzdm")
    told = statement(source, first.created_at.date())
    assert sorted(
        (line.dialect, line.model, line.key, line.jobs, line.images) for line in told.lines
    ) == sorted(
        [
            ("a1111", "shapes", key.key_id, 2, 2),
            ("a1111", "shapes", other_key.key_id, 1, 1),
            ("smzdm", "shapes", "", 1, 1),
        ]
    )
    assert (told.jobs, told.images, told.cost) == (4, 4, 4 * first.cost_estimate)
    assert [(line.dialect, line.jobs) for line in told.by("dialect")] == [("a1111", 3), ("smzdm", 1)]


def test_what_failed_or_waits_is_not_billed(submission, source, lease, job):
    lifecycle.fail(lease, "internal", "It broke.")
    admit(submission())
    assert statement(source, job.created_at.date()).lines == []


def test_other_sources_jobs_are_not_in_it(drawn, other_source):
    assert statement(other_source, drawn().created_at.date()).lines == []


def test_days_are_those_of_the_time_zone(settings, on, drawn, source):
    settings.TIME_ZONE = "Asia/Shanghai"
    midnight = datetime(2026, 5, 1, tzinfo=SHANGHAI)
    for moment in (midnight - timedelta(seconds=1), midnight):
        on(moment)
        drawn()
    assert [line.day for line in statement(source, date(2026, 4, 7)).lines] == [date(2026, 4, 30)]
    assert [line.day for line in statement(source, MAY).lines] == [MAY]
    assert months(source) == [MAY, date(2026, 4, 1)]


def test_the_statement_outlives_jobs_and_keys(drawn, source, key):
    job = drawn()
    Job.objects.all().delete()
    number = key.pk
    key.delete()
    (line,) = statement(source, job.created_at.date()).lines
    assert (line.key, line.model, line.cost) == (f"#{number}", "shapes", job.cost_estimate)


@pytest.fixture
def told(drawn, source):
    return statement(source, drawn(checkpoint="shapes").created_at.date())


def test_files_say_the_same_in_every_format(told):
    (line,) = told.lines
    (row,) = csv.DictReader(io.StringIO(FORMATS["csv"](told).decode("utf-8-sig")))
    assert (
        Line(
            **row
            | {"day": date.fromisoformat(row["day"]), "jobs": int(row["jobs"])}
            | {"images": int(row["images"]), "cost": Decimal(row["cost"])}
        )
        == line
    )
    document = json.loads(FORMATS["json"](told))
    assert (document["source"], document["cost"]) == ("shop", str(line.cost))
    assert document["lines"][0]["day"] == line.day.isoformat()
    sheet = load_workbook(io.BytesIO(FORMATS["xlsx"](told))).active
    assert [cell.value for cell in sheet[2]][1:6] == ["a1111", "shapes", line.key, 1, 1]
    assert sheet.cell(3, 7).value == pytest.approx(float(line.cost))


def test_costs_have_the_ledgers_six_decimals(told):
    (row,) = csv.DictReader(io.StringIO(FORMATS["csv"](told).decode("utf-8-sig")))
    assert row["cost"] == f"{told.cost:.6f}" == json.loads(FORMATS["json"](told))["cost"]


@pytest.mark.parametrize("format", ["csv", "xlsx"])
def test_a_models_name_is_no_formula(told, format):
    evil = replace(told, lines=[replace(told.lines[0], model="=HYPERLINK(1)")])
    content = FORMATS[format](evil)
    if format == "csv":
        assert "'=HYPERLINK" in content.decode()
    else:
        assert load_workbook(io.BytesIO(content)).active.cell(2, 3).value == "'=HYPERLINK(1)"


def test_the_command_writes_the_file(told, tmp_path):
    target = tmp_path / "bill.csv"
    call_command("statement", "shop", f"{told.month:%Y-%m}", "--output", str(target))
    assert target.read_bytes() == FORMATS["csv"](told)


@pytest.mark.parametrize("words", [["nobody", "2026-11"], ["shop", "November"], ["shop", "2026-13"]])
def test_the_command_names_what_is_wrong(words, source):
    with pytest.raises(CommandError, match=r"no source|no month"):
        call_command("statement", *words)
