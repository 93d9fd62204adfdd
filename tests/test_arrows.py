"""Imports point one way, between the packages and inside each of them."""

import ast
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {name: ROOT / name for name in ("gpu_runner", "models_registry", "jobs")}
FOLDERS |= {
    name: ROOT / "platform" / name
    for name in ("telemetry", "access", "dialects", "console", "operations", "quickstart", "config")
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
# Layers from the lowest to the highest: a module may import only from layers before its own in this list.
LAYERS = {
    "gpu_runner": [
        "logs, protocol",
        "networks, samplers, server",
        "imaging",
        "controlnet",
        "models",
        "tasks",
        "comfyui, engine, training",
    ],
    "jobs": [
        "errors, models, django_q",
        "apps, billing, outbound, selectors",
        "images",
        "text_model, trained_files",
        "execution, model_intake, reproduction, retention",
        "scheduling, shipped_setup, tasks",
        "admission",
        "api_reference, management, sample_renders, training",
    ],
    "models_registry": [
        "apps, errors, facts",
        "models",
        "architectures, family_facts",
        "parts",
        "scanning, selectors",
        "shipped_presets",
        "lora_tags, management, native_size, tasks",
    ],
}
# Modules of the runner that the platform may import; they need neither torch nor Django.
SHARED = ["protocol", "logs"]
FIRST_PARTY = {*FOLDERS, "demo", "bench", "tests"}


def module_name(path: Path, package: str) -> str:
    parts = [package, *path.relative_to(FOLDERS[package]).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(path: Path, package: str) -> tuple[str, ...]:
    """Absolute names of what a file imports; ``from a import b`` counts as ``a.b``."""
    return tuple(_imports(path, package))


def _imports(path: Path, package: str) -> Iterator[str]:
    inside = [package, *path.parent.relative_to(FOLDERS[package]).parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = inside[: len(inside) - node.level + 1] if node.level else []
            base = [*start, *([node.module] if node.module else [])]
            yield from (".".join([*base, alias.name]) for alias in node.names)


def files(package: str) -> list[Path]:
    return [path for path in FOLDERS[package].rglob("*.py") if "migrations" not in path.parts]


def all_imports(package: str) -> set[tuple[str, str]]:
    return {(str(path.relative_to(ROOT)), name) for path in files(package) for name in imports(path, package)}


def edges_between_children(folder: str, package: str) -> dict[str, set[str]]:
    """Imports between the direct children of a folder, given as a dotted name, under TYPE_CHECKING too."""
    edges = defaultdict(set)
    for path in files(package):
        name = module_name(path, package)
        if not name.startswith(f"{folder}."):
            continue
        child = name.removeprefix(f"{folder}.").split(".")[0]
        for imported in imports(path, package):
            if imported.startswith(f"{folder}."):
                edges[child].add(imported.removeprefix(f"{folder}.").split(".")[0])
    return edges


def every_folder() -> list[tuple[str, str]]:
    inits = [
        (path.parent, package) for package in FOLDERS for path in files(package) if path.name == "__init__.py"
    ]
    return sorted((module_name(folder / "__init__.py", package), package) for folder, package in inits)


def cycle(edges: dict[str, set[str]]) -> set[str]:
    """Nodes on a cycle: those left after repeatedly removing the nodes without edges to others."""
    remaining = set(edges)
    while leaves := {node for node in remaining if not (edges[node] & remaining - {node})}:
        remaining -= leaves
    return remaining


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_between_packages_point_one_way(package):
    allowed = MAY_IMPORT[package] | {package}
    violations = {
        (path, name) for path, name in all_imports(package) if name.split(".")[0] in FIRST_PARTY - allowed
    }
    assert not violations


@pytest.mark.parametrize("package", LAYERS)
def test_module_imports_only_from_lower_layers(package):
    layer_of = {
        module: layer for layer, modules in enumerate(LAYERS[package]) for module in modules.split(", ")
    }
    edges = edges_between_children(package, package)
    violations = {
        (module, other)
        for module, others in edges.items()
        for other in others - {module}
        if module in layer_of and other in layer_of and layer_of[other] >= layer_of[module]
    }
    assert not violations
    modules = {
        path.stem
        for path in FOLDERS[package].iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert modules - {"__init__", "__main__", "migrations"} == layer_of.keys()


@pytest.mark.parametrize(("folder", "package"), every_folder())
def test_no_import_cycle_between_the_files_and_folders_of_a_folder(folder, package):
    assert not cycle(edges_between_children(folder, package))


@pytest.mark.parametrize("package", sorted(MAY_IMPORT.keys() - {"gpu_runner"}))
def test_platform_imports_only_shared_modules_of_the_runner(package):
    imported = {name for _path, name in all_imports(package) if name.startswith("gpu_runner.")}
    assert {name.split(".")[1] for name in imported} <= set(SHARED)


def test_runner_does_not_import_django():
    assert not {(path, name) for path, name in all_imports("gpu_runner") if name.split(".")[0] == "django"}


def calls_of_image_open(path: Path) -> Iterator[int]:
    """Lines that open an image with Pillow, under whatever name it is imported."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and node.attr == "open" and "Image" in ast.unparse(node.value):
            yield node.lineno


def test_one_module_opens_image_files():
    """Elsewhere, EXIF orientation, transparency or 16 bits would be forgotten."""
    found = {
        str(path.relative_to(ROOT))
        for package in FOLDERS
        for path in files(package)
        if any(calls_of_image_open(path))
    }
    assert found == {"gpu_runner/protocol/images/files.py"}


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


def shared_modules() -> list[str]:
    protocol = [
        module_name(path, "gpu_runner") for path in (FOLDERS["gpu_runner"] / "protocol").rglob("*.py")
    ]
    return sorted({*protocol, "gpu_runner.logs"})


@pytest.mark.slow
def test_shared_modules_import_neither_torch_nor_opencv_nor_django():
    assert not {"torch", "cv2", "django"} & modules_after(f"import {', '.join(shared_modules())}")


@pytest.mark.slow
def test_comfyui_adapter_imports_neither_torch_nor_django():
    assert not {"torch", "django"} & modules_after("import gpu_runner.comfyui.__main__")


@pytest.mark.slow
def test_web_process_imports_neither_torch_nor_opencv():
    modules = modules_after(
        "import config.wsgi; from django.urls import get_resolver; get_resolver().url_patterns"
    )
    assert "dialects.a1111.urls" in modules
    assert not {"torch", "transformers", "diffusers", "cv2"} & modules
