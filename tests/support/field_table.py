"""Which test shows what a field of a user's document does: ``python -m tests.support.field_table`` writes docs/fields.md.

``tests/seed_fields/TABLE.txt`` lists a document's fields, one a line; ``@pytest.mark.field("TABLE", "name", ...)`` on a
test says that it shows the effect of these fields, or their documented refusal.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLES = ROOT / "tests" / "seed_fields"
PAGE = ROOT / "docs" / "fields.md"
HEAD = """# Every field of our users' documents, and the test that shows it

Made by `python -m tests.support.field_table`.
"""

Shown = dict[tuple[str, str], list[str]]


@cache
def listed() -> dict[str, list[str]]:
    """Table -> its fields, in the document's order."""
    return {path.stem: path.read_text().split() for path in sorted(TABLES.glob("*.txt"))}


def _marks(function: ast.FunctionDef) -> Iterator[list[str]]:
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.field":
            yield [ast.literal_eval(argument) for argument in decorator.args]


@cache
def shown() -> Shown:
    """(table, field) -> the tests that show it."""
    found: Shown = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                for table, *fields in _marks(node):
                    for field in fields:
                        found[table, field].append(f"{path.relative_to(ROOT)}::{node.name}")
    return found


def page() -> str:
    tests, parts = shown(), [HEAD]
    for table, fields in listed().items():
        parts.append(f"\n## {table}\n\n| field | shown by |\n|---|---|")
        for field in fields:
            links = "<br>".join(f"`{test.removeprefix('tests/')}`" for test in tests[table, field])
            parts.append(f"| `{field}` | {links} |")
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
