"""Export of monthly statements as CSV, JSON or XLSX files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext as _
from openpyxl import Workbook
from openpyxl.styles import Font

from .statements import COLUMNS, AccountStatement, Line

BYTE_ORDER_MARK = "\ufeff"  # without it Excel does not decode CSV files as UTF-8
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(statement: AccountStatement) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    writer.writerows([_escaped(getattr(line, name)) for name in COLUMNS] for line in statement.lines)
    return (BYTE_ORDER_MARK + file.getvalue()).encode()


def as_json(statement: AccountStatement) -> bytes:
    document = {
        "source": statement.source.name,
        "month": f"{statement.month:%Y-%m}",
        "jobs": statement.jobs,
        "images": statement.images,
        "cost": str(statement.cost),
        "lines": [_as_json_value(line) for line in statement.lines],
    }
    return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"


def as_xlsx(statement: AccountStatement) -> bytes:
    book = Workbook()
    sheet = book.active
    sheet.title = f"{statement.month:%Y-%m}"
    sheet.append([_("day"), _("dialect"), _("model"), _("access key"), _("jobs"), _("images"), _("cost")])
    for line in statement.lines:
        sheet.append([_escaped(getattr(line, name)) for name in COLUMNS])
    sheet.append([_("sum"), "", "", "", statement.jobs, statement.images, statement.cost])
    for row in (1, sheet.max_row):
        for cell in sheet[row]:
            cell.font = Font(bold=True)
    for column, width in zip("ABCDEFG", (12, 20, 32, 26, 10, 10, 16), strict=True):
        sheet.column_dimensions[column].width = width
    for cell in sheet["G"][1:]:
        cell.number_format = "0.000000"
    sheet.freeze_panes = "A2"
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


FORMATS: dict[str, Callable[[AccountStatement], bytes]] = {"csv": as_csv, "xlsx": as_xlsx, "json": as_json}
CONTENT_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "json": "application/json",
}


def file_name(statement: AccountStatement, format: str) -> str:
    return f"{statement.source.name}-{statement.month:%Y-%m}.{format}"


def _as_json_value(line: Line) -> dict[str, Any]:
    values = {name: getattr(line, name) for name in COLUMNS}
    return values | {"day": line.day.isoformat(), "cost": str(line.cost)}


def _escaped(value: object) -> object:
    """Escape text that a spreadsheet would interpret as a formula (CSV injection)."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
