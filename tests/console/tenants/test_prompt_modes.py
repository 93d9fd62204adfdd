"""The settings of the text model on the page of a source."""

import pytest

from access.models import BusinessSource
from tests.console.tenants.test_limits import form_of, page

pytestmark = pytest.mark.slow


def test_modes_by_dialect_are_edited_one_per_line(ops, source):
    source.prompt_modes = {"native": "expand"}
    source.save()
    form = form_of(ops.get(page(source, "requests")))
    assert form["prompt_modes"] == "native: expand"
    assert "native: expand" in ops.get(page(source, "requests")).content.decode()
    changed = form | {"prompt_modes": "a1111: translate\n\n native : as_is ", "prompt_mode": "expand"}
    assert ops.post(page(source, "requests"), changed).status_code == 302
    source.refresh_from_db()
    assert source.prompt_modes == {"a1111": "translate", "native": "as_is"}
    assert (source.prompt_mode_of("a1111"), source.prompt_mode_of("smzdm")) == ("translate", "expand")


@pytest.mark.parametrize("text", ["a1111", "a1111: shout", "no such dialect: expand", "expand", ": :"])
def test_unknown_dialect_or_mode_is_refused(ops, source, text):
    form = form_of(ops.get(page(source, "requests"))) | {"prompt_modes": text}
    response = ops.post(page(source, "requests"), form)
    assert response.status_code == 200
    assert "dialect: mode" in str(response.context["errors"])
    assert BusinessSource.objects.get().prompt_modes == {}


def test_invalid_modes_in_the_database_are_ignored(source):
    source.prompt_modes = {"a1111": "shout", "native": ["translate"]}
    assert source.prompt_mode_of("a1111") == source.prompt_mode_of("native") == "as_is"
    source.prompt_modes = ["a1111"]
    assert source.prompt_mode_of("a1111") == "as_is"
