"""Routes whose work is not done here say so, in the dialect's shapes."""

import pytest
from django.test import Client


def test_describing_a_picture_needs_a_model_that_is_not_there(alice, red) -> None:
    entry = alice.post("interrogate", {"image": red}).json()["detail"][0]
    assert (entry["loc"], entry["type"]) == (["body", "model"], "value_error.unsupported")


def test_an_unknown_captioner_is_404(alice, red) -> None:
    response = alice.post("interrogate", {"image": red, "model": "bogus"})
    assert (response.status_code, response.json()["detail"]) == (404, "Model not found")


@pytest.mark.parametrize("name", ["unload-checkpoint", "reload-checkpoint"])
def test_weights_are_the_runners_matter(alice, name) -> None:
    response = alice.post(name)
    assert (response.status_code, response.json()) == (200, {})
    assert Client().post(f"/sdapi/v1/{name}").status_code == 401


@pytest.mark.parametrize(
    "name", ["create/embedding", "create/hypernetwork", "train/embedding", "train/hypernetwork"]
)
def test_nothing_is_trained(alice, name) -> None:
    response = alice.post(name, {"name": "x"})
    assert (response.status_code, response.json()["error"]) == (501, "HTTPException")


@pytest.mark.parametrize(
    "name", ["server-kill", "server-restart", "server-stop", "artists", "artist-categories"]
)
def test_a_server_without_these_routes_says_404(alice, name) -> None:
    assert alice.post(name).status_code == 404


@pytest.mark.parametrize(
    "path", ["/internal/sysinfo", "/internal/sysinfo-download", "/internal/profile-startup"]
)
def test_nobody_is_told_about_the_machine(alice, path) -> None:
    assert alice.client.get(path).status_code == 404
