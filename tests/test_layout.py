"""``platform/`` is a source root. Were it a package, it would hide the standard library's module of that name."""

import importlib.util
import platform
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE_ROOTS = [ROOT, ROOT / "platform"]
PACKAGES = sorted(init.parent for source in SOURCE_ROOTS for init in source.glob("*/__init__.py"))


def test_platform_is_still_the_standard_librarys():
    assert Path(platform.__file__).name == "platform.py"
    assert platform.system()


def test_the_source_root_holds_packages_only():
    assert not list((ROOT / "platform").glob("*.py"))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_a_package_resolves_into_this_checkout_and_hides_nothing_of_the_standard_library(package):
    assert package.name not in sys.stdlib_module_names
    assert Path(importlib.util.find_spec(package.name).origin) == package / "__init__.py"


def test_wheel_has_every_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    not_installed = {ROOT / "tests", ROOT / "bench", ROOT / "demo"}
    assert {ROOT / package for package in listed} == set(PACKAGES) - not_installed
