"""A later start of `make run` leaves alone what operators changed, added or deleted in the console."""

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command

from access.models import AccessKey, BusinessSource
from config.management.commands import prepare_demo
from jobs.models.storage_target import StorageTarget, Visibility
from models_registry.models import Family, ModelFile, StylePreset
from quickstart import demo_clients, demo_data

pytestmark = pytest.mark.django_db
URL = "http://127.0.0.1:1"


@pytest.fixture
def start(settings, tmp_path, monkeypatch):
    """Prepares the demo as `make run` does, with rows instead of the model files."""
    settings.DATA_DIR, settings.MODELS_ROOT = tmp_path, tmp_path / "models"
    monkeypatch.setattr(demo_data, "copy_demo_models", lambda: None)
    monkeypatch.setattr(prepare_demo, "call_command", lambda *_arguments, **_options: None)
    for kind, name in demo_clients.ALIASES:
        path = f"{kind}/{name}"
        ModelFile.objects.create(kind=kind, family=Family.SD15, name=name, path=path, sha256=path)

    def prepare() -> None:
        call_command("prepare_demo", URL)

    prepare()
    return prepare


def rows() -> list[list[dict]]:
    models = (StorageTarget, StylePreset, BusinessSource, AccessKey, ModelFile, get_user_model())
    return [list(model.objects.order_by("pk").values()) for model in models]


def add_a_private_target() -> None:
    StorageTarget.objects.create(channel=demo_clients.CHANNEL, visibility=Visibility.PRIVATE, folder="secret")


def make_the_target_private() -> None:
    StorageTarget.objects.update(visibility=Visibility.PRIVATE, enabled=False)


def delete_targets() -> None:
    StorageTarget.objects.all().delete()


def move_the_channel() -> None:
    StorageTarget.objects.update(channel="7")


def rename_the_source() -> None:
    BusinessSource.objects.update(name="shop", keyless_networks=[], comfyui_by_pipeline=False)


def revoke_the_key() -> None:
    AccessKey.objects.update(enabled=False)


def change_presets() -> None:
    StylePreset.objects.filter(key__startswith="img2img").delete()
    StylePreset.objects.update(steps=7, control_model=None)


def clear_aliases() -> None:
    ModelFile.objects.update(aliases=[], enabled=False, is_default=False)


def delete_models() -> None:
    StylePreset.objects.all().delete()
    ModelFile.objects.all().delete()


def replace_the_administrator() -> None:
    users = get_user_model()
    users.objects.create_superuser("chief", password="a password")
    users.objects.filter(username=demo_data.ADMIN).delete()


def change_the_password() -> None:
    admin = get_user_model().objects.get(username=demo_data.ADMIN)
    admin.set_password("another one")
    admin.save()


@pytest.mark.parametrize(
    "change",
    [
        add_a_private_target,
        make_the_target_private,
        delete_targets,
        move_the_channel,
        rename_the_source,
        revoke_the_key,
        change_presets,
        clear_aliases,
        delete_models,
        replace_the_administrator,
        change_the_password,
    ],
)
def test_changes_survive_a_restart(start, change):
    change()
    changed = rows()
    start()
    assert rows() == changed


def test_interrupted_first_start_is_repeated(start, settings):
    delete_targets()
    (settings.DATA_DIR / "demo.json").unlink()
    start()
    assert StorageTarget.objects.filter(channel=demo_clients.CHANNEL).exists()


def test_several_targets_of_the_channel_are_no_obstacle(start):
    add_a_private_target()
    demo_clients.prepare(URL)
    assert StorageTarget.objects.count() == 2
