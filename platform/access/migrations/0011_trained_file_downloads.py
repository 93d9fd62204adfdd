from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("access", "0010_trained_model_retention")]

    operations = [
        migrations.AddField(
            model_name="businesssource",
            name="trained_file_downloads",
            field=models.BooleanField(
                default=True,
                help_text="Files of LoRAs that the source has trained. Off: they can only be drawn with, and URLs that were given out end as such.",
                verbose_name="may download trained models",
            ),
        ),
    ]
