"""The size that a checkpoint was trained at."""

import pytest

from models_registry.models import Family, ModelFile
from models_registry.native_size import native_size


@pytest.mark.parametrize(
    ("family", "side"), [(Family.SD15, 512), (Family.SD2, 768), (Family.SDXL, 1024), (Family.UNKNOWN, 512)]
)
def test_family_has_a_usual_size(family, side):
    assert native_size(ModelFile(family=family)) == (side, side)


def test_file_states_its_size():
    stated = ModelFile(family=Family.SD15, metadata={"modelspec.resolution": "256x320"})
    assert native_size(stated) == (256, 320)


@pytest.mark.parametrize("stated", ["", "256", "0x0", "9999x9999", "250x250", "512x512x3", None, 512])
def test_size_that_cannot_be_generated_is_not_used(stated):
    file = ModelFile(family=Family.SD15, metadata={"modelspec.resolution": stated})
    assert native_size(file) == (512, 512)
