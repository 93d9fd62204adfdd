from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0011_unsigned_hash")]

    operations = [
        migrations.AddField(
            model_name="output",
            name="visible_texts",
            field=models.JSONField(default=None, editable=False, null=True),
        ),
    ]
