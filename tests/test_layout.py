"""``platform/`` is a source root, not a package, which would shadow the module of the standard library."""

import importlib.util
import platform
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE_ROOTS = [ROOT, ROOT / "platform"]
PACKAGES = sorted(init.parent for source in SOURCE_ROOTS for init in source.glob("*/__init__.py"))


def test_platform_is_the_module_of_the_standard_library():
    assert Path(platform.__file__).name == "platform.py"
    assert platform.system()


def test_source_root_contains_only_packages():
    assert not list((ROOT / "platform").glob("*.py"))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_package_is_in_this_checkout_and_shadows_no_standard_module(package):
    assert package.name not in sys.stdlib_module_names
    assert Path(importlib.util.find_spec(package.name).origin) == package / "__init__.py"


def test_wheel_has_every_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    not_installed = {ROOT / "tests", ROOT / "bench", ROOT / "demo"}
    assert {ROOT / package for package in listed} == set(PACKAGES) - not_installed
