"""Files that only ComfyUI servers have, in the lists of every dialect that has one."""

import pytest

from dialects.native.response.listings import ModelQuery, models
from dialects.stablediffusionapi.response.listings import model_rows
from dialects.zhiqite.response.listings import Checkpoints
from models_registry.models import Kind, WorkflowRule
from models_registry.selectors import resolve
from tests.support.comfyui_rows import DIFFUSION_MODEL, edit_template

pytestmark = [pytest.mark.slow, pytest.mark.django_db]


def of_native(source):
    return {model.name for model in models(source, ModelQuery()).items}


def of_stablediffusionapi(source):
    return {row["model_id"] for row in model_rows(source)}


def of_zhiqite(source):
    return {row["sdModelName"] for row in Checkpoints(pageSize=500, pageNum=1).page(source)["rows"]}


LISTS = {"native": of_native, "stablediffusionapi": of_stablediffusionapi, "zhiqite": of_zhiqite}


@pytest.mark.parametrize("dialect", LISTS)
def test_files_of_servers_are_listed_for_clients_that_a_rule_sends_there(source, other_source, dialect):
    rule = WorkflowRule.objects.create(template=edit_template(), source=source, dialect=dialect)
    assert DIFFUSION_MODEL in LISTS[dialect](source)
    assert resolve(Kind.CHECKPOINT, DIFFUSION_MODEL, source, dialect=dialect).name == DIFFUSION_MODEL
    assert DIFFUSION_MODEL not in LISTS[dialect](other_source)
    rule.dialect = "a1111"
    rule.save()
    assert DIFFUSION_MODEL not in LISTS[dialect](source)
