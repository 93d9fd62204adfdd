"""List of models: the checkpoints that a key may use."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from access.models import AccessKey
from dialects.openai.authentication import DIALECT
from dialects.openai.errors import APIError
from models_registry.errors import ModelNotFound
from models_registry.models import Kind, ModelFile
from models_registry.selectors import list_for, names_of_rules, resolve

OWNER = "atelier"


def model_list(key: AccessKey) -> dict[str, Any]:
    """Checkpoints, and the names by which workflow rules lead to a template."""
    files = list_for(Kind.CHECKPOINT, key.source, dialect=DIALECT).defer("metadata").order_by("name")
    data = [_model(file) for file in files if key.allows_model(file.kind, file.name)]
    known = {model["id"] for model in data}
    return {
        "object": "list",
        "data": [*data, *(_of_rule(name) for name in _names_of_rules(key) if name not in known)],
    }


def one_model(key: AccessKey, name: str) -> dict[str, Any]:
    """The checkpoint of a name. Raises APIError."""
    try:
        file = resolve(Kind.CHECKPOINT, name, key.source, dialect=DIALECT)
    except ModelNotFound as error:
        if name in _names_of_rules(key):
            return _of_rule(name)
        raise APIError.unknown_model(str(error)) from None
    if not key.allows_model(file.kind, file.name):
        message = _("%(key)s may not use %(name)s.")
        raise APIError.forbidden(message % {"key": key.key_id, "name": file.name}, "model")
    return _model(file)


def _names_of_rules(key: AccessKey) -> list[str]:
    names = names_of_rules(key.source, DIALECT)
    return [name for name in names if key.allows_model(Kind.CHECKPOINT, name)]


def _of_rule(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": OWNER}


def _model(file: ModelFile) -> dict[str, Any]:
    created = int(file.created_at.timestamp())
    return {"id": file.name, "object": "model", "created": created, "owned_by": OWNER}
