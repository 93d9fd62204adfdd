from django.db import migrations, models

from table_versions import triggers


def remove_triggers(_apps, schema_editor):
    triggers.remove(schema_editor.connection)


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="TableVersion",
            fields=[
                ("table", models.CharField(max_length=63, primary_key=True, serialize=False)),
                ("version", models.CharField(max_length=36)),
            ],
        ),
        # They are made after every migration, by table_versions.triggers.
        migrations.RunPython(migrations.RunPython.noop, remove_triggers),
    ]
