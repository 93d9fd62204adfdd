"""References of the dialects agree with their code."""

import ast
import json
import os
import subprocess

import pytest
from django.urls import Resolver404, resolve

from access.models import AccessKey, BusinessSource
from dialects.http import NotFoundView
from dialects.openai.errors import APIError
from dialects.volcengine.reference import FIELDS as VOLCENGINE_FIELDS
from dialects.volcengine.request.submission import STORED_FIELDS
from gpu_runner.protocol import GenerationRequest
from jobs.api_reference import dialects
from jobs.api_reference.examples.languages import LANGUAGES
from jobs.api_reference.reference import Context, Reference
from jobs.api_reference.refusals import REASONS
from jobs.errors import Refused
from tests.support.field_table import listed

BASE = "https://images.example"
DIALECTS = ("a1111", "ark", "native", "openai", "smzdm", "stablediffusionapi", "volcengine", "zhiqite")
# Names of a document -> the reference that must list them.
DOCUMENTED = {
    "a1111_txt2img": "a1111",
    "a1111_img2img": "a1111",
    "ark_images_generations": "ark",
    "openai_images": "openai",
    "smzdm_change_background": "smzdm",
    "stablediffusionapi_img2img": "stablediffusionapi",
    "volcengine_cvprocess": "volcengine",
    "zhiqite_controlnet": "zhiqite",
}
# Headers and query parameters, which the pages have under authentication and endpoints.
TRANSPORT = {"Content-Type", "X-Date", "Authorization", "X-Security-Token", "Action", "Version"}
TRANSPORT |= {"X-Request-req-accessKeyId", "X-Request-req-accessKeySecret"}


def built(dialect: str, **fields) -> Reference:
    key = AccessKey(key_id="ak-1")
    names = {"checkpoint": "shapes", "image_url": f"{BASE}/a.png", "style": "t2i"} | fields
    return dialects.get(dialect).reference(Context(BusinessSource(name="shop"), key, BASE, **names))


def test_every_dialect_has_a_reference():
    assert sorted(dialects.names()) == sorted(DIALECTS)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_endpoints_exist(dialect):
    for endpoint in built(dialect).endpoints:
        path = endpoint.path.partition("?")[0].replace("{id}", "00000000-0000-0000-0000-000000000000")
        try:
            view = resolve(path.replace("{index}", "0")).func
        except Resolver404:
            pytest.fail(f"{endpoint.path} is not routed")
        assert not issubclass(getattr(view, "cls", object), NotFoundView), endpoint.path


@pytest.mark.parametrize("document", sorted(DOCUMENTED))
def test_documented_fields_are_listed(document):
    names = {row.name for table in built(DOCUMENTED[document]).tables for row in table.rows}
    last_names = names | {name.rpartition(".")[2] for name in names}
    fields = {field.rpartition(".")[2].removesuffix("[]") for field in listed()[document]}
    assert {field for field in fields if field.isascii()} - last_names - TRANSPORT == set()


def test_volcengine_lists_every_field_that_it_reads():
    names = {row.name for row in VOLCENGINE_FIELDS if "." not in row.name}
    assert set(STORED_FIELDS) - names == set()
    assert names - set(STORED_FIELDS) == {"binary_data_base64", "image_urls"}


def test_native_lists_every_field_with_its_limits():
    rows = {row.name: row for table in built("native").tables for row in table.rows}
    assert GenerationRequest.model_fields.keys() <= rows.keys()
    assert (rows["num_inference_steps"].type, rows["num_inference_steps"].allowed) == (
        "integer",
        "≥ 1, ≤ 500",
    )
    assert rows["loras[].name"].required


def test_every_refusal_has_a_text():
    codes = {subclass.code for subclass in _subclasses(Refused)} - {"refused"}
    assert codes - REASONS.keys() == set()


def _subclasses(parent: type[Refused]) -> list[type[Refused]]:
    children = parent.__subclasses__()
    return [*children, *(found for child in children for found in _subclasses(child))]


def test_errors_of_openai_are_those_that_it_sends():
    rows = {(row.status, row.code) for row in built("openai").errors}
    for subclass in _subclasses(Refused):
        if subclass.code in REASONS and subclass.__init__ is Refused.__init__:
            error = APIError.of(subclass("no", field="checkpoint"))
            assert (error.status, error.error["code"]) in rows, subclass


HOSTILE = 'a"b\'c`$(touch x)${HOME}\\n"""%s'  # a name of a model file


@pytest.mark.slow
def test_names_cannot_leave_their_literal_in_a_shell(tmp_path):
    [curl] = [language for language in LANGUAGES if language.key == "curl"]
    script = "curl() { cat; exit; }\n" + curl.render(built("ark", checkpoint=HOSTILE).call)
    environment = {"SECRET": "s", "PATH": os.environ["PATH"]}
    run = subprocess.run(
        ["sh", "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(run.stdout)["model"] == HOSTILE
    assert not list(tmp_path.iterdir())


def test_names_cannot_leave_their_literal_in_programs():
    texts = {language.key: language.render(built("ark", checkpoint=HOSTILE).call) for language in LANGUAGES}
    constants = [
        node.value for node in ast.walk(ast.parse(texts["python"])) if isinstance(node, ast.Constant)
    ]
    assert HOSTILE in constants
    assert json.dumps(HOSTILE) in texts["javascript"]
    assert json.dumps(HOSTILE).replace("\\", "\\\\") in texts["java"]


def test_trainings_of_stablediffusionapi_are_listed_with_their_fields():
    known = built("stablediffusionapi")
    paths = {endpoint.path for endpoint in known.endpoints}
    assert {"/api/v3/lora_fine_tune", "/api/v3/finetune_list", "/api/v3/cancel_training/{id}"} <= paths
    (table,) = [table for table in known.tables if table.title == "/api/v3/fine_tune_v2"]
    rows = {row.name: row for row in table.rows}
    assert rows["images"].required
    assert rows["images"].type == "array of string"
    assert (rows["steps_unet"].type, rows["steps_unet"].allowed) == ("integer", "≥ 1, ≤ 2000")
