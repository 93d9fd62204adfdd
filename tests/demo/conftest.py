"""The demo checkpoint in a real engine, once for all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.demo_engine import Studio


@pytest.fixture(scope="session")
def studio() -> Iterator[Studio]:
    made = Studio.of_the_demo()
    yield made
    made.close()
