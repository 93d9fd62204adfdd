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
        "output": template.output,
        "graph": json.dumps(template.graph),
        "slots": json.dumps(template.slots),
        "without_slot": "refuse",
        "if_asked": "",
        "cost_factor": "1",
        "cached_share": "1",
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
        ("graph", {"nodes": [], "links": [], "version": 0.4}),
        ("if_asked", ["prompt"]),
        ("if_asked", "guidance_scale"),
        ("cost_per_second", 2),
        ("cached_share", 1.5),
        ("graph", {"1": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": ""}}}),
    ],
    ids=[
        "no input",
        "no slot",
        "no output",
        "no node",
        "no class",
        "no graph",
        "editor",
        "no default",
        "no list",
        "no seconds",
        "share",
        "no link",
    ],
)
def test_invalid_template_is_refused(ops, template, field, value):
    response = save(ops, template, **{field: json.dumps(value)})
    assert response.status_code == 200
    assert response.context["adminform"].form.errors


@pytest.mark.parametrize(
    "changed", [{"output": "video"}, {"purpose": "img2video"}], ids=["output", "purpose"]
)
def test_purpose_and_output_are_both_of_videos(ops, template, changed):
    response = save(ops, template, **changed)
    assert "both be videos" in str(response.context["adminform"].form.errors["purpose"])
    assert save(ops, template, output="video", purpose="txt2video").status_code == 302


def test_body_of_a_prompt_is_taken_for_its_graph(ops, template):
    graph = template.graph
    assert save(ops, template, graph=json.dumps({"prompt": graph, "client_id": "a"})).status_code == 302
    template.refresh_from_db()
    assert template.graph == graph
    assert template.if_asked == []
    assert template.requirements["nodes"]


def test_file_of_the_editor_is_explained(ops, template):
    response = save(ops, template, graph=json.dumps({"nodes": [], "links": []}))
    assert "Export (API)" in str(response.context["adminform"].form.errors)
