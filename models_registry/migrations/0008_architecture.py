import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("models_registry", "0007_model_cards"),
    ]

    operations = [
        migrations.CreateModel(
            name="Architecture",
            fields=[
                (
                    "file",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        serialize=False,
                        to="models_registry.modelfile",
                    ),
                ),
                ("content", models.JSONField()),
            ],
        ),
    ]
