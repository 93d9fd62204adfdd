from __future__ import annotations

import pytest

from tests.browser.console import Console
from tests.browser.playground.page import Playground
from tests.e2e.installation import Installation


@pytest.fixture
def playground(console: Console, installation: Installation) -> Playground:
    return Playground(console, installation)
