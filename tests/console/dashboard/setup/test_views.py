"""The page *Setup*: what an installation lacks, and the button that installs the shipped presets."""

import re

import pytest
from django.utils import timezone

from access.models import AccessKey
from console.dashboard.setup.checklist import checks
from jobs.models import Runner
from jobs.models.storage_target import StorageTarget
from models_registry.models import FOLDERS, Kind, ModelFile, PromptStyle, StylePreset

pytestmark = pytest.mark.django_db
PAGE, INSTALL = "/admin/setup/", "/admin/setup/install/"


@pytest.fixture
def runner(db) -> Runner:
    return Runner.objects.create(name="gpu0", url="http://127.0.0.1:1")


def missing() -> set[str]:
    return {str(check.name) for check in checks() if not check.is_done}


def add(kind: Kind) -> None:
    path = f"{FOLDERS[kind]}/mine.safetensors"
    ModelFile.objects.create(kind=kind, name="mine", path=path, sha256=path)


def test_fresh_installation_lacks_everything(ops):
    lacking = missing()
    for name in ("Runner", "Checkpoint", "Style presets", "Storage target", "NSFW detector", "PUBLIC_URL"):
        assert name in lacking
    text = ops.get(PAGE).content.decode()
    assert text.count("at-problem") == 4  # runner, checkpoint, source, key
    assert "install_nsfw_detector" in text


def test_each_part_is_ticked_off_when_it_is_there(source, runner, settings):
    runner.seen_at = timezone.now()
    runner.save()
    AccessKey.issue(source)
    settings.PUBLIC_URL = "https://atelier.example.com"
    for kind in (
        Kind.CHECKPOINT, Kind.NSFW, Kind.MATTING, Kind.CONTROLNET, Kind.UPSCALER, Kind.FACE_DETECTOR,
        Kind.FACE_RESTORER, Kind.TEXT_DETECTOR, Kind.TAGGER,
    ):  # fmt: skip
        before = missing()
        add(kind)
        assert len(before - missing()) == 1, kind
    optional = {"Text model"}
    assert missing() == {"Style presets", "Prompt style of enhance_prompt", "Storage target"} | optional
    settings.TEXT_MODEL_URL, settings.TEXT_MODEL_NAME = "http://127.0.0.1:8000/v1", "qwen"
    assert not missing() & optional


@pytest.mark.parametrize(
    "state", [{"seen_at": None}, {"enabled": False}, {"problem": "401"}], ids=lambda state: next(iter(state))
)
def test_runner_that_takes_no_jobs_is_missing(runner, state):
    type(runner).objects.update(**({"seen_at": timezone.now()} | state))
    assert "Runner" in missing()


def test_preset_with_a_missing_checkpoint_is_listed(checkpoint):
    StylePreset.objects.create(key="mine", checkpoint=checkpoint)
    assert "Checkpoints of the style presets" not in missing()
    checkpoint.enabled = False
    checkpoint.save()
    assert "Checkpoints of the style presets" in missing()


def test_button_installs_the_presets(ops, checkpoint):
    text = ops.post(INSTALL, follow=True).content.decode()
    assert (StylePreset.objects.count(), PromptStyle.objects.count(), StorageTarget.objects.count()) == (
        40,
        1,
        1,
    )
    assert "majicmixRealistic_v7.safetensors is now another name of shapes." in text
    assert "simple_bg_0811-006400.safetensors" in text
    assert re.search("Created: 40 style presets", text)
    assert "Created: 0 style presets" in ops.post(INSTALL, follow=True).content.decode()


def test_button_needs_a_post(ops):
    assert ops.get(INSTALL).status_code == 403
    assert not StylePreset.objects.exists()


@pytest.mark.parametrize(
    ("role", "bound", "views", "installs"),
    [
        ("viewer", False, 200, 403),
        ("operator", False, 200, 403),
        ("finance", False, 403, 403),
        ("admin", False, 200, 302),
        ("tenant", True, 403, 403),
        ("admin", True, 403, 403),
    ],
)
def test_page_and_button_need_their_permissions(sign_in, source, role, bound, views, installs):
    client = sign_in(role, *([source] if bound else []))
    assert client.get(PAGE).status_code == views
    assert client.post(INSTALL).status_code == installs
    assert StylePreset.objects.exists() == (installs == 302)
    link = f'href="{PAGE}"' in client.get("/admin/").content.decode()
    assert link == (views == 200)
