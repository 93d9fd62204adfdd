import pytest
from django_q.models import OrmQ

from models_registry.models import Kind, ModelFile

LIST = "/admin/models_registry/checkpoint/"


@pytest.fixture
def other_checkpoint(db):
    return ModelFile.objects.create(kind=Kind.CHECKPOINT, name="dream", path="checkpoints/dream.safetensors")


def edit(ops, file, **fields):
    form = {"name": file.name, "cost_multiplier": "1", "enabled": "on", "allowed_sources": []} | fields
    return ops.post(f"{LIST}{file.pk}/change/", form)


def test_each_kind_has_its_own_list(ops, checkpoint):
    assert "shapes" in ops.get(LIST).content.decode()
    assert "shapes" not in ops.get("/admin/models_registry/lora/").content.decode()
    assert "shapes" in ops.get("/admin/models_registry/modelfile/").content.decode()


def test_what_the_scan_found_cannot_be_edited(ops, checkpoint):
    edit(ops, checkpoint, path="elsewhere", sha256="0" * 64, licence="MIT")
    saved = ModelFile.objects.get()
    assert (saved.path, saved.sha256, saved.licence) == (checkpoint.path, checkpoint.sha256, "MIT")


def test_a_name_that_another_file_bears_is_refused(ops, checkpoint, other_checkpoint):
    response = edit(ops, other_checkpoint, name="shapes")
    assert "name" in response.context["adminform"].form.errors


def test_a_kind_has_one_default(ops, act, checkpoint, other_checkpoint):
    edit(ops, other_checkpoint, is_default="on")
    assert [file.name for file in ModelFile.objects.filter(is_default=True)] == ["dream"]
    act("models_registry/checkpoint", "make_default", checkpoint)
    assert [file.name for file in ModelFile.objects.filter(is_default=True)] == ["shapes"]


def test_files_are_enabled_and_disabled_together(act, checkpoint, other_checkpoint):
    act("models_registry/checkpoint", "disable", checkpoint, other_checkpoint)
    assert not ModelFile.objects.filter(enabled=True)
    act("models_registry/checkpoint", "enable", checkpoint)
    assert ModelFile.objects.get(enabled=True) == checkpoint


def test_scan_now_queues_a_scan_even_where_there_is_no_file_yet(ops, db):
    assert "Scan now" in ops.get(LIST).content.decode()
    assert ops.post(f"{LIST}scan/").status_code == 302
    assert OrmQ.objects.get().task["func"] == "models_registry.tasks.scan"


def test_a_link_cannot_start_a_scan(ops, db):
    assert ops.get(f"{LIST}scan/").status_code == 403
    assert not OrmQ.objects.exists()
