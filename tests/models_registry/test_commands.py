"""What a script does for model files, as the console does it for people."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from models_registry.models import Kind, ModelFile

NIGHT = Path(__file__).resolve().parents[2] / "demo" / "models" / "loras" / "atelier-night.safetensors"


def run(*words):
    out = StringIO()
    call_command(*map(str, words), stdout=out)
    return out.getvalue()


@pytest.fixture
def root(settings, tmp_path, db):
    settings.MODELS_ROOT = tmp_path / "models"
    return settings.MODELS_ROOT


def test_an_added_file_is_copied_to_its_place_and_registered(root):
    told = json.loads(run("add_model", NIGHT, "--kind", "lora", "--name", "night.safetensors"))
    assert told["path"] == "loras/night.safetensors"
    assert (root / told["path"]).read_bytes() == NIGHT.read_bytes()
    assert ModelFile.objects.get().sha256 == told["sha256"]
    assert NIGHT.exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((NIGHT, "--kind", "checkpoint"), "LoRA"),
        ((__file__, "--kind", "lora"), "Model files end in"),
        (("/nowhere.safetensors", "--kind", "lora"), "no file"),
        ((NIGHT, "--kind", "lora", "--name", "../night.safetensors"), "no name"),
    ],
)
def test_a_file_that_an_upload_would_refuse_is_refused_and_not_left(root, words, why):
    with pytest.raises(CommandError, match=why):
        run("add_model", *words)
    assert not ModelFile.objects.exists()
    assert not [path for path in root.rglob("*") if path.is_file()]


def test_a_file_is_not_added_twice(root):
    run("add_model", NIGHT, "--kind", "lora")
    with pytest.raises(CommandError, match="already"):
        run("add_model", NIGHT, "--kind", "lora")


def test_a_file_is_disabled_and_enabled(checkpoint):
    run("disable_model", "shapes")
    assert not ModelFile.objects.get().enabled
    run("enable_model", checkpoint.path)
    assert ModelFile.objects.get().enabled


def test_a_name_that_two_kinds_have_is_asked_about(register):
    register("checkpoints/night.safetensors")
    register("loras/night.safetensors", kind=Kind.LORA)
    with pytest.raises(CommandError, match="several"):
        run("disable_model", "night")
    run("disable_model", "night", "--kind", "lora")
    assert ModelFile.objects.get(enabled=False).kind == Kind.LORA


def test_a_name_that_no_file_has_is_said_to_be_unknown(db):
    for name in ("dream", ""):
        with pytest.raises(CommandError, match="there is no model file"):
            run("disable_model", name)


def test_files_are_listed_by_kind(register, checkpoint):
    register("loras/night.safetensors", kind=Kind.LORA)
    assert [row["name"] for row in json.loads(run("list_models", "--json"))] == ["shapes", "night"]
    assert run("list_models", "--kind", "lora").startswith("lora\tnight\tloras/night.safetensors")
