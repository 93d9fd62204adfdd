"""Every supported module of the catalog returns a control map of the init image, as a preview does."""

import numpy as np
import pytest

from gpu_runner.controlnet.preprocessors import registry
from gpu_runner.protocol.catalogs.preprocessors import MODULES
from tests.support.face_files import photograph


@pytest.mark.parametrize(
    "module",
    [module for module in MODULES.values() if not module.refused and not module.weights],
    ids=lambda module: module.name,
)
def test_a_module_without_a_network_returns_an_image(module):
    pixels = np.asarray(photograph().resize((96, 80)))
    found = registry.detect(module, pixels, module.settings(64, None, None))
    assert found.dtype == np.uint8
    assert found.shape[2] == 3
    assert min(found.shape[:2]) >= 32
