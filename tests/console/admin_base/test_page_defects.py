"""Kinds of defects that no page of the console has: every list and every form is opened and read."""

import html
import json
import re

import pytest
from django.contrib import admin

from access.models import BusinessSource
from console.navigation import GROUPS
from models_registry.models import WorkflowTemplate
from tests.console.tenants.test_tenancy import foreign, registered_models  # noqa: F401

pytestmark = pytest.mark.slow

CRUMBS = re.compile(r'<span class="min-w-0 truncate[^"]*">\s*(.*?)\s*</span>', re.DOTALL)
TEXTAREA = re.compile(r"<textarea([^>]*)>\s*(.*?)</textarea>", re.DOTALL)
HYPHEN_ALONE = re.compile(r">\s*-\s*<")
JSON_IN_A_LINE = re.compile(r'class="readonly[^"]*">\s*[\[{]\s*(?:&quot;|")')
CAPITALS = re.compile(r'<(?:span|a)[^>]*class="[^"]*\buppercase\b[^"]*"[^>]*>\s*\w')


@pytest.fixture
def pages(ops, foreign) -> dict[str, str]:  # noqa: F811
    """HTML of the list and of one object of each model, and of the tabs of a source."""
    source_page = admin.site.get_model_admin(BusinessSource)
    addresses = [source_page.tab_url(foreign["access.businesssource"], tab) for tab in source_page.tabs]
    for model in registered_models():
        page = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        row = foreign.get(model._meta.label_lower)
        addresses += [page] if row is None else [page, f"{page}{row.pk}/change/"]
    return {address: ops.get(address).content.decode() for address in addresses}


def content(page: str) -> str:
    return page[page.index('id="content-main"') :] if 'id="content-main"' in page else page


def test_no_page_has_a_known_defect(pages):
    found = {
        "a hyphen as the sign for no value, which is a dash": [
            address for address, page in pages.items() if HYPHEN_ALONE.search(content(page))
        ],
        "a red cross for what is off": [address for address, page in pages.items() if "close_small" in page],
        "a state in capitals": [address for address, page in pages.items() if CAPITALS.search(content(page))],
        "read-only JSON in one line": [
            address for address, page in pages.items() if JSON_IN_A_LINE.search(content(page))
        ],
        "JSON in one line, or in a proportional font": [
            address
            for address, page in pages.items()
            for attributes, text in TEXTAREA.findall(page)
            if is_json(html.unescape(text)) and ("at-json" not in attributes or "\n" not in text.strip())
        ],
    }
    assert {defect: addresses for defect, addresses in found.items() if addresses} == {}
    assert len(pages) > 50


def is_json(text: str) -> bool:
    try:
        return bool(json.loads(text)) and text.lstrip()[0] in "[{"
    except ValueError:
        return False


def test_breadcrumbs_name_the_group_and_the_title_of_the_menu(pages):
    for group, items in GROUPS:
        for title, _icon, name in items:
            shown = pages[f"/admin/{name.rsplit('_', 1)[0]}/{name.rsplit('_', 1)[1]}/"]
            assert CRUMBS.search(shown)[1] == str(group), name
            assert re.search(
                rf'class="min-w-0 truncate[^"]*" href="[^"]*">\s*{re.escape(str(title))}\s*<', shown
            ), name


def test_invalid_json_is_refused_and_shown_as_it_was_typed(ops, workflow_templates):
    template = WorkflowTemplate.objects.first()
    page = f"/admin/models_registry/workflowtemplate/{template.pk}/change/"
    form = {"name": "x", "purpose": template.purpose, "graph": '{"a": ', "slots": "{}"}
    form |= {"rules-TOTAL_FORMS": "0", "rules-INITIAL_FORMS": "0"}
    response = ops.post(page, form)
    assert "graph" in response.context["adminform"].form.errors
    assert "{&quot;a&quot;: </textarea>" in response.content.decode()
