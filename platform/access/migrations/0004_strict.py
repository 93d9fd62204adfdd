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
                help_text='Refuse what A1111 silently ignores, such as an unknown sampler, style or LoRA, instead of adding a warning to the response.',
                verbose_name="strict",
            ),
        ),
    ]
