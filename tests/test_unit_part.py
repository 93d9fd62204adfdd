"""What ``make unit`` runs: no database, no processes, no browser and no demo model.

Without the mark ``database`` pytest-django refuses every query; the rest is checked here.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LEFT_OUT = {"slow", "demo", "processes", "browser"}
EXPENSIVE = {"subprocess", "multiprocessing", "Installation", "Studio", "sync_playwright"}


def test_make_unit_leaves_out_the_marks_of_expensive_tests() -> None:
    makefile = (TESTS.parent / "Makefile").read_text()
    marks = sorted(LEFT_OUT | {"database"})
    line = next(line for line in makefile.splitlines() if '-m "not slow' in line)
    assert sorted(line.split('"')[1].removeprefix("not ").split(" and not ")) == marks


@pytest.mark.parametrize(
    "folder", sorted({path.relative_to(TESTS).parts[0] for path in TESTS.rglob("test_*.py")})
)
def test_tests_that_start_processes_or_the_demo_model_are_marked(folder: str) -> None:
    paths = [TESTS / folder] if folder.endswith(".py") else sorted((TESTS / folder).rglob("test_*.py"))
    assert [f"{path.relative_to(TESTS)}::{name}" for path in paths for name in _unmarked(path)] == []


def _unmarked(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    module_marks = {
        name
        for node in tree.body
        if isinstance(node, ast.Assign) and _names(node.targets[0]) == {"pytestmark"}
        for name in _names(node.value)
    }
    if module_marks & LEFT_OUT:
        return
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    expensive = _that_reach(functions, EXPENSIVE)
    for name in sorted(expensive):
        marks = {mark for decorator in functions[name].decorator_list for mark in _names(decorator)}
        if name.startswith("test_") and not marks & LEFT_OUT:
            yield name


def _that_reach(functions: dict[str, ast.AST], names: set[str]) -> set[str]:
    """The functions, classes and fixtures of a module that use one of the names, also through each other."""
    found: set[str] = set()
    while more := {name for name, node in functions.items() if _names(node) & (names | found)} - found:
        found |= more
    return found


def _names(node: ast.AST) -> set[str]:
    """Identifiers in the code, and parameters, which are the fixtures of a test."""
    return {
        getattr(part, field)
        for part in ast.walk(node)
        for kind, field in ((ast.Name, "id"), (ast.Attribute, "attr"), (ast.arg, "arg"))
        if isinstance(part, kind)
    }
