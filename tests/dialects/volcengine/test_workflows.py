"""Styles that a workflow rule routes to ComfyUI."""

import pytest

from jobs.models import Backend, Runner
from models_registry.models import ModelFile, WorkflowRule, WorkflowTemplate
from tests.dialects.volcengine.conftest import STYLE

pytestmark = [pytest.mark.slow, pytest.mark.django_db]


@pytest.mark.parametrize("req_key", [STYLE, STYLE.removesuffix("_usage")])
def test_req_key_is_routed_to_the_workflow_of_its_rule(alice, body, workflow_templates, req_key) -> None:
    comfyui = Runner.objects.create(name="comfy", url="http://127.0.0.1:9", backend=Backend.COMFYUI)
    comfyui.own_files.set(ModelFile.objects.all())
    template = WorkflowTemplate.objects.get(name="img2img")
    WorkflowRule.objects.create(template=template, dialect="volcengine", style=req_key)
    job = alice.submit(body | {"canny_weight": 0})
    assert (job.backend, job.workflow) == (Backend.COMFYUI, template)
