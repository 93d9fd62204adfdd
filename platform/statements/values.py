"""Values that a statement gets when it is run."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Expression


def given(name: str) -> Any:
    """Stands in a query for a value that is given when it is run: the value of a column, as a foreign key's id."""
    return _Given(name)


class _Given(Expression):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", (self,)


def bound(
    parameters: Sequence[Any], values: dict[str, Any], database: BaseDatabaseWrapper
) -> tuple[Any, ...]:
    """A statement's parameters with the values in their places."""
    return tuple(
        _adapted(values[parameter.name], database) if isinstance(parameter, _Given) else parameter
        for parameter in parameters
    )


def _adapted(value: Any, database: BaseDatabaseWrapper) -> Any:
    """As a column's field would hand it to the database."""
    match value:
        case uuid.UUID() if not database.features.has_native_uuid_field:
            return value.hex
        case datetime():
            return database.ops.adapt_datetimefield_value(value)
        case date():
            return database.ops.adapt_datefield_value(value)
        case str():
            return str(value)  # of an enumeration, its value
        case Decimal():
            return database.ops.adapt_decimalfield_value(value, 18, 6)
        case _:
            return value
