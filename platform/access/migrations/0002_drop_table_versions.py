"""Drops what the removed app ``table_versions`` left in the database: its triggers, its function, its table,
its permissions and its record of migrations. Nothing happens where the app never was.
"""

from django.db import migrations
from django.db.migrations.recorder import MigrationRecorder

APP = "table_versions"
TABLE = "table_versions_tableversion"
FUNCTION = "renew_table_version"
TRIGGER_PREFIX = "table_version_of_"


def drop(apps, schema_editor):
    connection = schema_editor.connection
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"DROP FUNCTION IF EXISTS {FUNCTION}() CASCADE")  # and every trigger that calls it
        else:
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            for (name,) in cursor.fetchall():
                if name.startswith(TRIGGER_PREFIX):
                    cursor.execute(f"DROP TRIGGER {quote(name)}")
        cursor.execute(f"DROP TABLE IF EXISTS {TABLE}")
    # A version that still has the app makes the table again when it migrates.
    MigrationRecorder(connection).migration_qs.filter(app=APP).delete()
    apps.get_model("contenttypes", "ContentType").objects.filter(app_label=APP).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(drop, migrations.RunPython.noop)]
