"""Liveness probe."""

import pytest
from django.db import OperationalError, connection


@pytest.mark.django_db
def test_healthz_is_ok_while_the_database_is_reachable(client):
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_healthz_returns_503_without_details_if_the_database_fails(client):
    def refuse(*_):
        raise OperationalError("password of the database")

    with connection.execute_wrapper(refuse):
        response = client.get("/healthz")
    assert (response.status_code, response.json()) == (503, {"status": "unavailable"})


def test_healthz_rejects_post(client):
    assert client.post("/healthz").status_code == 405


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_accept_any_host(client, path):
    """Load balancers and kubelets ask by the address of the pod, which ALLOWED_HOSTS cannot name."""
    assert client.get(path, headers={"host": "10.42.8.201:8000"}).json()["status"] in ("ok", "unavailable")
