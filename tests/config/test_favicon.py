"""The site's favicon."""

from xml.etree import ElementTree


def test_browsers_get_an_icon(client):
    response = client.get("/favicon.ico")
    assert (response.status_code, response["Content-Type"]) == (200, "image/svg+xml")
    assert ElementTree.fromstring(response.content).tag.endswith("svg")
