"""Validation of limits, and allowed models of a key."""

import pytest
from django.core.exceptions import ValidationError

from access.models import AccessKey
from access.source_settings.limits import KINDS
from models_registry.models import Kind


@pytest.mark.parametrize("networks", ["10.0.0.0/8", [10], ["10.0.0.1/8"], {"10.0.0.0/8": 1}, ["home"]])
def test_invalid_networks_are_refused(source, networks):
    with pytest.raises(ValidationError, match="list of networks"):
        AccessKey.issue(source, networks=networks)


@pytest.mark.parametrize("dialects", ["a1111", [1]])
def test_invalid_dialects_are_refused(source, dialects):
    with pytest.raises(ValidationError, match="list of names"):
        AccessKey.issue(source, dialects=dialects)


@pytest.mark.parametrize("hosts", [["img.lan", ".lan", "10.0.0.0/8", "10.1.2.3", "fd00::/8"], []])
def test_reachable_accepts_host_names_and_networks(source, hosts):
    source.reachable = hosts
    source.full_clean()


@pytest.mark.parametrize("hosts", [["http://img.lan/"], ["a b"], [""], [1], {"img.lan": 1}, "img.lan"])
def test_reachable_rejects_other_values(source, hosts):
    source.reachable = hosts
    with pytest.raises(ValidationError):
        source.full_clean()


def test_kinds_are_those_of_the_registry():
    assert {*KINDS} == {*Kind.values} - {Kind.UNKNOWN}


@pytest.mark.parametrize(
    ("patterns", "kind", "name", "allowed"),
    [
        ([], "checkpoint", "shapes", True),
        (["checkpoint:shapes"], "checkpoint", "shapes", True),
        (["checkpoint:shapes"], "checkpoint", "pastel", False),
        (["checkpoint:shapes"], "lora", "night", True),
        (["lora:"], "lora", "night", False),
        (["lora:n*", "lora:day"], "lora", "night", True),
    ],
)
def test_allowed_models_are_patterns_by_kind(patterns, kind, name, allowed):
    assert AccessKey(allowed_models=patterns).allows_model(kind, name) == allowed


@pytest.mark.parametrize("patterns", ["checkpoint:a", ["shapes"], ["checkpoints:a"], [1], {}])
def test_patterns_without_a_known_kind_are_refused(patterns, source):
    with pytest.raises(ValidationError):
        AccessKey.issue(source, allowed_models=patterns)
