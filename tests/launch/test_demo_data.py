import shutil

import pytest

from launch import demo_data


@pytest.mark.django_db
def test_an_older_copy_of_the_same_size_is_replaced(settings, tmp_path):
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
