from django.db import migrations

from models_registry.workflow_templates import shipped


def load(apps, schema_editor):
    """What ops made of a name is theirs."""
    templates = apps.get_model("models_registry", "WorkflowTemplate").objects
    for fields in shipped():
        templates.get_or_create(name=fields["name"], defaults=fields)


class Migration(migrations.Migration):
    dependencies = [("models_registry", "0009_workflows")]

    operations = [migrations.RunPython(load, migrations.RunPython.noop)]
