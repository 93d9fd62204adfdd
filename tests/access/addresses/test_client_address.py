"""Client IP address from X-Forwarded-For."""

import pytest

from access.addresses.client_address import client_address

PROXIES = ["10.0.0.0/24"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.7", "", "203.0.113.7"),
        ("10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "203.0.113.7, 10.0.0.2", "203.0.113.7"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.7", "203.0.113.7"),  # the left address is claimed by the client
        ("203.0.113.7", "10.9.9.9", "203.0.113.7"),  # not a trusted proxy: the header is ignored
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "nonsense", "nonsense"),  # not an address, so in no network
        ("::ffff:10.0.0.1", "2001:db8::1", "2001:db8::1"),
    ],
)
def test_client_is_the_last_address_that_is_not_a_trusted_proxy(peer, forwarded, client):
    assert client_address(peer, forwarded, PROXIES) == client


@pytest.mark.django_db
@pytest.mark.parametrize(("trusted", "status"), [(["127.0.0.1/32"], 200), ([], 404)])
def test_networks_are_compared_with_the_client_behind_a_trusted_proxy(client, settings, trusted, status):
    settings.TRUSTED_PROXIES, settings.METRICS_NETWORKS = trusted, ["203.0.113.0/24"]
    response = client.get("/metrics", headers={"X-Forwarded-For": "203.0.113.7"})
    assert response.status_code == status
