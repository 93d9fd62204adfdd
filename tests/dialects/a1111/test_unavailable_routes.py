"""Routes that are not available return errors in A1111's format."""

import pytest
from django.test import Client


@pytest.mark.parametrize("name", ["unload-checkpoint", "reload-checkpoint"])
def test_unload_and_reload_have_no_effect(alice, name) -> None:
    response = alice.post(name)
    assert (response.status_code, response.json()) == (200, {})
    assert Client().post(f"/sdapi/v1/{name}").status_code == 401


@pytest.mark.parametrize(
    "name", ["create/embedding", "create/hypernetwork", "train/embedding", "train/hypernetwork"]
)
def test_training_is_501(alice, name) -> None:
    response = alice.post(name, {"name": "x"})
    assert (response.status_code, response.json()["error"]) == (501, "HTTPException")


@pytest.mark.parametrize(
    "name", ["server-kill", "server-restart", "server-stop", "artists", "artist-categories"]
)
def test_routes_missing_in_the_original_are_404(alice, name) -> None:
    assert alice.post(name).status_code == 404


@pytest.mark.parametrize(
    "path", ["/internal/sysinfo", "/internal/sysinfo-download", "/internal/profile-startup"]
)
def test_host_information_is_404(alice, path) -> None:
    assert alice.client.get(path).status_code == 404
