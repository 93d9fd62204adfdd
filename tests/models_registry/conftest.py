import hashlib

import pytest

from models_registry.models import Kind, ModelFile


@pytest.fixture
def register(db):
    def register(path, *, kind=Kind.CHECKPOINT, **fields):
        fields.setdefault("name", path.rpartition("/")[2].rpartition(".")[0])
        sha256 = hashlib.sha256(path.encode()).hexdigest()
        return ModelFile.objects.create(path=path, kind=kind, sha256=sha256, **fields)

    return register
