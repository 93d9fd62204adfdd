import pytest

from access.models import AccessKey


@pytest.fixture
def manager(caller, checkpoint, source):
    """A client of alice's source whose key manages models."""
    return caller(*AccessKey.issue(source, manages_models=True))
