"""Benchmark results: printed as a table and saved as JSON."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    what: str
    value: float
    unit: str
    goal: str = ""


def table(rows: list[Row]) -> str:
    lines = [("figure", "value", "goal")]
    lines += [(row.what, f"{row.value:,.3g} {row.unit}".strip(), row.goal) for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(3)]
    shown = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join([shown[0], "  ".join("-" * width for width in widths), *shown[1:]])


def save(name: str, rows: list[Row]) -> Path:
    """Write the rows to bench/results and return the path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps([asdict(row) for row in rows], indent=2))
    return path
