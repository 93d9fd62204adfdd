"""Workflow templates in the console."""

import json

import pytest

from models_registry.models import WorkflowTemplate

pytestmark = pytest.mark.slow

LIST = "/admin/models_registry/workflowtemplate/"


@pytest.fixture
def template(workflow_templates):
    return WorkflowTemplate.objects.get(name="txt2img")


def save(ops, template, **fields):
    form = {
        "name": template.name,
        "enabled": "on",
        "purpose": template.purpose,
        "graph": json.dumps(template.graph),
        "slots": json.dumps(template.slots),
        "rules-TOTAL_FORMS": "0",
        "rules-INITIAL_FORMS": "0",
    } | fields
    return ops.post(f"{LIST}{template.pk}/change/", form)


def test_template_is_saved(ops, template):
    assert save(ops, template, name="renamed").status_code == 302
    assert WorkflowTemplate.objects.filter(name="renamed").exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("slots", {"prompt": "positive.no_such_input", "filename_prefix": "save.filename_prefix"}),
        ("slots", {"prompts": "positive.text", "filename_prefix": "save.filename_prefix"}),
        ("slots", {"prompt": "positive.text"}),
        ("slots", {"filename_prefix": "nowhere.filename_prefix"}),
        ("graph", {"1": {"inputs": {}}}),
        ("graph", []),
        ("graph", {"1": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": ""}}}),
    ],
    ids=["no input", "no slot", "no output", "no node", "no class", "no graph", "no link"],
)
def test_invalid_template_is_refused(ops, template, field, value):
    response = save(ops, template, **{field: json.dumps(value)})
    assert response.status_code == 200
    assert response.context["adminform"].form.errors
