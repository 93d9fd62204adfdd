"""Demo models and credentials."""

import json
import shutil

import pytest
from django.contrib.auth import authenticate

from access.models import AccessKey
from models_registry.models import Kind, ModelFile
from quickstart import demo_data


@pytest.mark.django_db
def test_outdated_copy_of_a_demo_model_is_replaced(settings, tmp_path):
    settings.BASE_DIR, settings.MODELS_ROOT = tmp_path / "checkout", tmp_path / "models"
    shipped = settings.BASE_DIR / "demo" / "models" / "vae" / "small.safetensors"
    shipped.parent.mkdir(parents=True)
    shipped.write_bytes(b"new")
    copied = settings.MODELS_ROOT / "vae" / "small.safetensors"
    copied.parent.mkdir(parents=True)
    shutil.copy2(shipped, copied)
    copied.write_bytes(b"old")
    demo_data.copy_demo_models()
    assert copied.read_bytes() == b"new"


@pytest.mark.django_db
def test_shipped_tagger_is_copied_with_its_tag_table(settings, tmp_path):
    shipped = settings.BASE_DIR / "demo" / "models" / "taggers"
    settings.BASE_DIR, settings.MODELS_ROOT = tmp_path / "checkout", tmp_path / "models"
    shutil.copytree(shipped, settings.BASE_DIR / "demo" / "models" / "taggers")
    settings.MODELS_ROOT.mkdir()
    demo_data.copy_demo_models()
    [tagger] = ModelFile.objects.usable()
    assert (tagger.kind, tagger.path) == (Kind.TAGGER, "taggers/atelier-tagger.onnx")


@pytest.mark.django_db
def test_credentials_are_reused(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    first = demo_data.credentials("http://127.0.0.1:1")
    assert demo_data.credentials("http://127.0.0.1:2") == first | {"base_url": "http://127.0.0.1:2"}


@pytest.mark.django_db
@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}"])
def test_missing_or_damaged_credentials_are_replaced(settings, tmp_path, content):
    settings.DATA_DIR = tmp_path
    first = demo_data.credentials("http://127.0.0.1:1")
    file = tmp_path / "demo.json"
    file.unlink() if content is None else file.write_text(content)
    again = demo_data.credentials("http://127.0.0.1:1")
    assert again.keys() == first.keys()
    assert json.loads(file.read_text()) == again
    assert authenticate(username=again["admin_user"], password=again["admin_password"]).is_superuser
    assert AccessKey.objects.filter(key_id=again["key_id"]).exists()
