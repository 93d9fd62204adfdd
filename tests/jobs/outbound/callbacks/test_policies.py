import pytest

from jobs.outbound.callbacks.policies import by_code, by_status
from jobs.outbound.http import HTTPResult

# Acknowledgement


@pytest.mark.parametrize(
    ("body", "is_one"),
    [
        (b'{"code": "200"}', True),
        (b'{"code": 200, "msg": "ok"}', True),
        (b'{"code": "0"}', False),
        (b'{"code": 200.5}', False),
        (b'{"code": true}', False),
        (b'{"code": null}', False),
        (b'["200"]', False),
        (b"200", False),
        (b"", False),
        (b"\xff", False),
        (b"[" * 100_000, False),
    ],
)
def test_acknowledgement_by_code(body, is_one):
    assert by_code("200")(HTTPResult(200, body)) is is_one
    assert not by_code("200")(HTTPResult(500, body))


@pytest.mark.parametrize(("status", "is_one"), [(199, False), (200, True), (204, True), (302, False)])
def test_acknowledgement_by_status(status, is_one):
    assert by_status(HTTPResult(status, b"")) is is_one
