"""Tag table of a tagger: a CSV file with one row for each output of the graph. No torch. The file is untrusted input.

The columns are those of ``selected_tags.csv`` in SmilingWolf's repositories: tag_id, name, category, count. Only ``name``
and ``category`` are read. The categories are Danbooru's numbers, and 9 for ratings.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from gpu_runner.protocol.findings import TagCategory

SHARED_NAME = "selected_tags.csv"
MAX_TABLE_BYTES = 8 * 1024 * 1024
MAX_NAME = 200
CATEGORIES: dict[str, TagCategory] = {
    "0": "general",
    "1": "artist",
    "3": "copyright",
    "4": "character",
    "5": "meta",
    "9": "rating",
}


class TagRow(NamedTuple):
    name: str
    category: TagCategory


def table_names(model: str) -> tuple[str, ...]:
    """Names of the table of a model file, in order of preference: ``wd.onnx`` has ``wd.csv`` or selected_tags.csv."""
    return Path(model).with_suffix(".csv").name, f"{Path(model).name}.csv", SHARED_NAME


def find_tag_table(model: Path) -> Path | None:
    """Return the tag table beside a model file, or None."""
    paths = (model.parent / name for name in table_names(model.name))
    return next((path for path in paths if path.is_file()), None)


def read_tag_table(path: Path) -> tuple[TagRow, ...]:
    """Read a tag table. Raises ValueError if it is not one."""
    if path.stat().st_size > MAX_TABLE_BYTES:
        raise ValueError(f"its tag table {path.name} may have at most {MAX_TABLE_BYTES} bytes")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if missing := {"name", "category"} - set(reader.fieldnames or ()):
                raise ValueError(f"its tag table {path.name} has no column {min(missing)}")
            return tuple(_row(path, reader.line_num, row) for row in reader)
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"its tag table {path.name} is not a CSV file in UTF-8") from error


def _row(path: Path, line: int, row: dict[str, str | None]) -> TagRow:
    name, category = (row["name"] or "").strip(), (row["category"] or "").strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise ValueError(f"its tag table {path.name} has no usable name in line {line}")
    if category not in CATEGORIES:
        raise ValueError(
            f"its tag table {path.name} has an unknown category in line {line}; known are {', '.join(CATEGORIES)}"
        )
    return TagRow(name, CATEGORIES[category])


def table_for(model: Path, tags: int) -> tuple[TagRow, ...]:
    """Return the tag table of a model with so many outputs. Raises ValueError if it is missing or of another model."""
    path = find_tag_table(model)
    if path is None:
        raise ValueError(
            f"its tag table is missing: put {table_names(model.name)[0]} or {SHARED_NAME} beside it"
        )
    rows = read_tag_table(path)
    if len(rows) != tags:
        raise ValueError(f"its tag table {path.name} must have {tags} rows (got {len(rows)})")
    return rows
