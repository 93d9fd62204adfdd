from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0003_source_to_the_outside"),
    ]

    operations = [
        migrations.AddField(
            model_name="businesssource",
            name="strict",
            field=models.BooleanField(
                default=False,
                help_text="What A1111 would pass over in silence, as an unknown sampler, style or LoRA, is refused instead of noted among the warnings.",
                verbose_name="strict",
            ),
        ),
    ]
