"""One installation per database. PostgreSQL is skipped if no server can be started."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.installation import Installation
from tests.support.databases import KINDS, database
from tests.support.migrated_database import MigratedDatabase


@pytest.fixture(scope="module", params=KINDS)
def installation(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    migrated_database: MigratedDatabase,
) -> Iterator[Installation]:
    data_dir = tmp_path_factory.mktemp(f"e2e-{request.param}")
    with ExitStack() as stack:
        database_url = stack.enter_context(database(request.param, data_dir, migrated_database))
        created = Installation(data_dir, database_url)
        stack.callback(created.stop)
        created.start("runner", "web", "generation", "background")
        yield created
        if request.session.testsfailed:
            print(created.logs())
