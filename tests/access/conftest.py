import pytest

from access.models import BusinessSource


@pytest.fixture
def source(db: None) -> BusinessSource:
    return BusinessSource.objects.create(name="shop", title="The shop")
