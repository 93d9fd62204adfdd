from django.db import migrations


def forget_them(apps, schema_editor):
    """Before, the column is too short for these kinds. A scan finds the files again.

    A migration of its own: PostgreSQL alters no table in the transaction that has deleted rows of it.
    """
    files = apps.get_model("models_registry", "ModelFile").objects
    files.filter(kind__in=["face_detector", "face_restorer"]).delete()


class Migration(migrations.Migration):

    dependencies = [
        ("models_registry", "0013_face_kinds"),
    ]

    operations = [
        migrations.RunPython(migrations.RunPython.noop, forget_them),
    ]
