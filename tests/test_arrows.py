"""Imports point one way: dialects and console to jobs, jobs to models_registry and access, all to nothing above."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {name: ROOT / name for name in ("gpu_runner", "models_registry", "jobs")}
FOLDERS |= {
    name: ROOT / "platform" / name for name in ("telemetry", "access", "dialects", "console", "operations")
}
MAY_IMPORT = {
    "gpu_runner": set(),
    "telemetry": {"gpu_runner"},
    "access": {"telemetry"},
    "models_registry": {"access", "gpu_runner"},
    "jobs": {"access", "gpu_runner", "models_registry", "telemetry"},
    "operations": {"access", "gpu_runner", "jobs", "models_registry", "telemetry"},
    "console": {"access", "gpu_runner", "jobs", "models_registry"},
    "dialects": {"access", "gpu_runner", "jobs", "models_registry", "telemetry"},
}
# What the platform may take from the runner's package: no torch, no django.
SHARED = [
    "protocol",
    "catalogue",
    "extra_networks",
    "families",
    "logs",
    "onnx_families",
    "passes",
    "preprocessors",
    "prompt_schedule",
    "request",
    "sizes",
    "tables",
    "upscalers",
    "words",
    "workflows",
]
FIRST_PARTY = {*FOLDERS, "config", "launch", "demo", "bench", "tests"}


def imports(path: Path, package: str) -> Iterator[str]:
    """Absolute names of what a file imports; ``from a import b`` counts as ``a.b``."""
    inside = [package, *path.parent.relative_to(FOLDERS[package]).parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = inside[: len(inside) - node.level + 1] if node.level else []
            base = [*start, *([node.module] if node.module else [])]
            yield from (".".join([*base, alias.name]) for alias in node.names)


def all_imports(package: str) -> set[tuple[str, str]]:
    files = FOLDERS[package].rglob("*.py")
    return {(str(path.relative_to(ROOT)), name) for path in files for name in imports(path, package)}


@pytest.mark.parametrize("package", FOLDERS)
def test_imports_point_one_way(package):
    allowed = MAY_IMPORT[package] | {package}
    against = {
        (path, name) for path, name in all_imports(package) if name.split(".")[0] in FIRST_PARTY - allowed
    }
    assert not against


@pytest.mark.parametrize("package", sorted(FOLDERS.keys() - {"gpu_runner"}))
def test_the_platform_takes_from_the_runner_only_what_needs_no_torch(package):
    taken = {name for _path, name in all_imports(package) if name.startswith("gpu_runner.")}
    assert {name.split(".")[1] for name in taken} <= set(SHARED)


def test_the_runner_knows_no_django():
    assert not {(path, name) for path, name in all_imports("gpu_runner") if name.split(".")[0] == "django"}


def test_no_dialect_imports_another():
    dialects = {path.parent.name for path in FOLDERS["dialects"].glob("*/__init__.py")}
    for path, name in all_imports("dialects"):
        others = dialects - set(Path(path).parts)
        assert not (name.startswith("dialects.") and name.split(".")[1] in others), (path, name)


def modules_after(code: str) -> set[str]:
    """Names of all modules that a new interpreter holds after running the code."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}", "RUNNER_TOKEN": "a token"}
    command = [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return set(result.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("module", SHARED)
def test_what_the_runner_shares_needs_neither_torch_nor_django(module):
    assert not {"torch", "django"} & modules_after(f"import gpu_runner.{module}")


def test_the_comfyui_adapter_needs_neither_torch_nor_django():
    assert not {"torch", "django"} & modules_after("import gpu_runner.comfyui.__main__")


def test_the_web_never_imports_torch():
    modules = modules_after(
        "import config.wsgi; from django.urls import get_resolver; get_resolver().url_patterns"
    )
    assert "dialects.a1111.urls" in modules
    assert not {"torch", "transformers", "diffusers"} & modules
