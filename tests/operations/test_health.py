import pytest
from django.db import OperationalError, connection


@pytest.mark.django_db
def test_healthz_is_ok_while_the_database_answers(client):
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_healthz_says_503_and_no_more_when_the_database_does_not_answer(client):
    def refuse(*_):
        raise OperationalError("password of the database")

    with connection.execute_wrapper(refuse):
        response = client.get("/healthz")
    assert (response.status_code, response.json()) == (503, {"status": "unavailable"})


def test_healthz_takes_no_post(client):
    assert client.post("/healthz").status_code == 405
