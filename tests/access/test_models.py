import pytest
from django.core.exceptions import ValidationError

from access.models import AccessKey


@pytest.mark.parametrize("networks", ["10.0.0.0/8", [10], ["10.0.0.1/8"], {"10.0.0.0/8": 1}, ["home"]])
def test_key_with_something_else_than_networks_is_refused(source, networks):
    with pytest.raises(ValidationError, match="A list of networks"):
        AccessKey.issue(source, networks=networks)


@pytest.mark.parametrize("dialects", ["a1111", [1]])
def test_key_with_something_else_than_names_of_dialects_is_refused(source, dialects):
    with pytest.raises(ValidationError, match="A list of names"):
        AccessKey.issue(source, dialects=dialects)


@pytest.mark.parametrize("places", [["img.lan", ".lan", "10.0.0.0/8", "10.1.2.3", "fd00::/8"], []])
def test_hosts_and_networks_may_be_reachable(source, places):
    source.reachable = places
    source.full_clean()


@pytest.mark.parametrize("places", [["http://img.lan/"], ["a b"], [""], [1], {"img.lan": 1}, "img.lan"])
def test_other_places_are_refused(source, places):
    source.reachable = places
    with pytest.raises(ValidationError):
        source.full_clean()
