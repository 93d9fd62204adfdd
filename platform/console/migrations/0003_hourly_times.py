"""Hourly figures: waiting and running time, and an index for the figures of one source."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("console", "0002_favorites")]

    operations = [
        migrations.AddField(
            model_name="hourlyfigures",
            name="wait_seconds",
            field=models.FloatField(null=True, verbose_name="wait"),
        ),
        migrations.AddField(
            model_name="hourlyfigures",
            name="run_seconds",
            field=models.FloatField(null=True, verbose_name="duration"),
        ),
        migrations.AddIndex(
            model_name="hourlyfigures",
            index=models.Index(fields=["source", "hour"], name="figures_by_source"),
        ),
    ]
