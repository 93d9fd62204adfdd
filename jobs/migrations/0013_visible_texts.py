from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0012_load_seconds")]

    operations = [
        migrations.AddField(
            model_name="output",
            name="visible_texts",
            field=models.JSONField(default=None, editable=False, null=True),
        ),
    ]
