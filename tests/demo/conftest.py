"""An engine with the demo checkpoint, shared by the session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.demo_engine import Studio


@pytest.fixture(scope="session")
def studio() -> Iterator[Studio]:
    session_studio = Studio.of_the_demo()
    yield session_studio
    session_studio.close()
