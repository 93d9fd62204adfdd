from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0002_job_files'),
    ]

    operations = [
        migrations.AddField(
            model_name='output',
            name='nsfw',
            field=models.BooleanField(default=None, null=True, verbose_name='NSFW'),
        ),
        migrations.AddField(
            model_name='output',
            name='nsfw_score',
            field=models.FloatField(default=None, null=True, verbose_name='NSFW score'),
        ),
    ]
