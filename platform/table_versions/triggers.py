"""The triggers that give a table a new version.

An app names the models to watch in its configuration: ``versioned = {"AccessKey": ("last_used_at",)}``, each with the columns
whose changes do not count. The triggers are made after every migration, because SQLite loses a table's triggers
when a migration builds the table anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import AppConfig, apps
from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper

VERSIONS = "table_versions_tableversion"
PREFIX = "table_version_of_"

_POSTGRESQL_FUNCTION = f"""
CREATE OR REPLACE FUNCTION renew_table_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {VERSIONS} ("table", version) VALUES (TG_TABLE_NAME, gen_random_uuid()::text)
    ON CONFLICT ("table") DO UPDATE SET version = EXCLUDED.version;
    RETURN NULL;
END $$
"""
# Without ON CONFLICT: in a trigger, SQLite puts that of the statement outside in its place.
_SQLITE_BODY = f"""
BEGIN
    DELETE FROM {VERSIONS} WHERE "table" = '{{table}}';
    INSERT INTO {VERSIONS} ("table", version) VALUES ('{{table}}', lower(hex(randomblob(16))));
END
"""


def watched_models() -> Iterator[type[models.Model]]:
    for model, _ignored in _watched():
        yield model


def watched_tables() -> dict[str, list[str]]:
    """With the columns whose changes count."""
    tables = {}
    for model, ignored in _watched():
        columns = [
            str(field.column) for field in model._meta.local_concrete_fields if field.name not in ignored
        ]
        tables[model._meta.db_table] = columns
        for relation in model._meta.local_many_to_many:
            through = relation.remote_field.through._meta  # type: ignore[union-attr]
            tables[through.db_table] = [str(field.column) for field in through.local_concrete_fields]
    return tables


def install(connection: BaseDatabaseWrapper) -> None:
    """On every watched table that is there."""
    present = set(connection.introspection.table_names())
    if VERSIONS not in present:
        return
    statements = _postgresql if connection.vendor == "postgresql" else _sqlite
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_POSTGRESQL_FUNCTION)
        for table, columns in watched_tables().items():
            if table in present:
                for statement in statements(table, columns):
                    cursor.execute(statement)


def remove(connection: BaseDatabaseWrapper) -> None:
    present = set(connection.introspection.table_names())
    with connection.cursor() as cursor:
        for table in watched_tables().keys() & present:
            if connection.vendor == "postgresql":
                cursor.execute(f"DROP TRIGGER IF EXISTS {PREFIX}{table} ON {table}")
            else:
                for event in _SQLITE_EVENTS:
                    cursor.execute(f"DROP TRIGGER IF EXISTS {PREFIX}{table}_{event}")
        if connection.vendor == "postgresql":
            cursor.execute("DROP FUNCTION IF EXISTS renew_table_version()")


def install_after_migrating(sender: AppConfig, using: str = DEFAULT_DB_ALIAS, **signal: Any) -> None:
    if "plan" in signal:  # flush sends the same signal, and leaves triggers where they are
        install(connections[using])


def _watched() -> Iterator[tuple[type[models.Model], tuple[str, ...]]]:
    for config in apps.get_app_configs():
        for name, ignored in getattr(config, "versioned", {}).items():
            yield config.get_model(name), ignored


def _postgresql(table: str, columns: list[str]) -> Iterator[str]:
    """A new version where there is none yet, too: the table's first comes with its trigger."""
    named = ", ".join(f'"{column}"' for column in columns)
    yield f"DROP TRIGGER IF EXISTS {PREFIX}{table} ON {table}"
    yield (
        f"CREATE TRIGGER {PREFIX}{table} AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF {named} ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION renew_table_version()"
    )
    yield (
        f"INSERT INTO {VERSIONS} (\"table\", version) VALUES ('{table}', gen_random_uuid()::text) "
        'ON CONFLICT ("table") DO UPDATE SET version = EXCLUDED.version'
    )


_SQLITE_EVENTS = ("insert", "delete", "update")


def _sqlite(table: str, columns: list[str]) -> Iterator[str]:
    named = ", ".join(f'"{column}"' for column in columns)
    for event in _SQLITE_EVENTS:
        what = f"UPDATE OF {named}" if event == "update" else event.upper()
        yield f"DROP TRIGGER IF EXISTS {PREFIX}{table}_{event}"
        yield (
            f"CREATE TRIGGER {PREFIX}{table}_{event} AFTER {what} ON {table} "
            f"{_SQLITE_BODY.format(table=table)}"
        )
    yield (
        f"INSERT OR REPLACE INTO {VERSIONS} (\"table\", version) VALUES ('{table}', lower(hex(randomblob(16))))"
    )
