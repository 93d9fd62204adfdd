"""ControlNets of the newer families, from the scan of a folder to an image."""

import pytest

pytestmark = pytest.mark.slow
