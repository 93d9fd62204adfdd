"""List of models: the checkpoints that a key may use."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from access.models import AccessKey
from dialects.openai.errors import APIError
from models_registry.errors import ModelNotFound
from models_registry.models import Kind, ModelFile
from models_registry.selectors import list_for, resolve

OWNER = "atelier"


def model_list(key: AccessKey) -> dict[str, Any]:
    files = list_for(Kind.CHECKPOINT, key.source).defer("metadata").order_by("name")
    return {
        "object": "list",
        "data": [_model(file) for file in files if key.allows_model(file.kind, file.name)],
    }


def one_model(key: AccessKey, name: str) -> dict[str, Any]:
    """The checkpoint of a name. Raises APIError."""
    try:
        file = resolve(Kind.CHECKPOINT, name, key.source)
    except ModelNotFound as error:
        raise APIError.unknown_model(str(error)) from None
    if not key.allows_model(file.kind, file.name):
        message = _("%(key)s may not use %(name)s.")
        raise APIError.forbidden(message % {"key": key.key_id, "name": file.name}, "model")
    return _model(file)


def _model(file: ModelFile) -> dict[str, Any]:
    created = int(file.created_at.timestamp())
    return {"id": file.name, "object": "model", "created": created, "owned_by": OWNER}
