"""One installation for each database. PostgreSQL is skipped in one line where no server can be started."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.installation import Installation


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def installation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    data_dir = tmp_path_factory.mktemp(f"e2e-{request.param}")
    if request.param == "postgres":
        database_url = request.getfixturevalue("postgres_server").create_database()
    else:
        database_url = f"sqlite:///{data_dir / 'atelier.sqlite3'}"
    made = Installation(data_dir, database_url)
    made.start("runner", "web", "generation", "background")
    try:
        yield made
    finally:
        made.stop()
        if request.session.testsfailed:
            print(made.logs())
