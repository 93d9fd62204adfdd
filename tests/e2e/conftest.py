"""One installation per database. PostgreSQL is skipped if no server can be started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.installation import Installation
from tests.support.postgres import NoPostgres, postgres


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def installation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    data_dir = tmp_path_factory.mktemp(f"e2e-{request.param}")
    with ExitStack() as stack:
        database_url = f"sqlite:///{data_dir / 'atelier.sqlite3'}"
        if request.param == "postgres":
            try:
                database_url = stack.enter_context(postgres())
            except NoPostgres as reason:
                if os.environ.get("REQUIRE_POSTGRES"):
                    raise
                pytest.skip(str(reason))
        created = Installation(data_dir, database_url)
        stack.callback(created.stop)
        created.start("runner", "web", "generation", "background")
        yield created
        if request.session.testsfailed:
            print(created.logs())
