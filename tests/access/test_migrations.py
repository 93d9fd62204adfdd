"""Migrations that clean up after earlier versions, on the database that the tests run on."""

import pytest
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Model

from access.models import BusinessSource

pytestmark = pytest.mark.slow

BEFORE = "0001_initial"

# What a version with the app `table_versions` made, for one of the tables that it watched.
TABLE = (
    'CREATE TABLE table_versions_tableversion ("table" varchar(63) PRIMARY KEY, version varchar(36) NOT NULL)'
)
POSTGRESQL = [
    TABLE,
    """
    CREATE OR REPLACE FUNCTION renew_table_version() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO table_versions_tableversion ("table", version)
        VALUES (TG_TABLE_NAME, gen_random_uuid()::text)
        ON CONFLICT ("table") DO UPDATE SET version = EXCLUDED.version;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER table_version_of_access_businesssource
    AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF "name", "weight" ON access_businesssource
    FOR EACH STATEMENT EXECUTE FUNCTION renew_table_version()
    """,
]
SQLITE = [
    TABLE,
    *[
        f"""
        CREATE TRIGGER table_version_of_access_businesssource_{event.split()[0].lower()}
        AFTER {event} ON access_businesssource
        BEGIN
            DELETE FROM table_versions_tableversion WHERE "table" = 'access_businesssource';
            INSERT INTO table_versions_tableversion ("table", version)
            VALUES ('access_businesssource', lower(hex(randomblob(16))));
        END
        """
        for event in ("INSERT", "DELETE", 'UPDATE OF "name", "weight"')
    ],
]


def execute(*statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def triggers() -> set[str]:
    if connection.vendor == "postgresql":
        query = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
    else:
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    with connection.cursor() as cursor:
        cursor.execute(query)
        return {name for (name,) in cursor.fetchall()}


def has_versions() -> bool:
    return "table_versions_tableversion" in connection.introspection.table_names()


def earlier_model(name: str) -> type[Model]:
    """The model of that version: today's has columns that its table does not have."""
    state = MigrationLoader(connection).project_state([("access", BEFORE)])
    return state.apps.get_model("access", name)


def migrate(*target):
    call_command("migrate", *target, verbosity=0)


@pytest.fixture
def downgraded(transactional_db):
    """The database of a version that had the app. All migrations run twice for it, so one test does with it."""
    try:
        migrate("access", BEFORE)
        yield
    finally:
        migrate()


def test_upgrade_drops_table_versions_and_their_triggers_and_a_downgrade_brings_none_back(downgraded):
    assert not has_versions()

    execute(*(POSTGRESQL if connection.vendor == "postgresql" else SQLITE))
    MigrationRecorder(connection).record_applied("table_versions", "0001_initial")
    model = ContentType.objects.create(app_label="table_versions", model="tableversion")
    Permission.objects.create(content_type=model, codename="add_tableversion", name="Can add table version")
    earlier_model("BusinessSource").objects.create(name="earlier")
    assert has_versions()
    assert any(name.startswith("table_version_of_") for name in triggers())

    migrate()
    assert not has_versions()
    assert not triggers()
    assert not MigrationRecorder(connection).migration_qs.filter(app="table_versions").exists()
    assert not Permission.objects.filter(content_type__app_label="table_versions").exists()

    source = BusinessSource.objects.create(name="later")  # the triggers wrote to the table that is gone
    BusinessSource.objects.update(weight=7)
    source.delete()
