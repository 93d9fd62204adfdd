from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0018_videos'),
    ]

    operations = [
        migrations.AddField(
            model_name='transition',
            name='ignored_fields',
            field=models.JSONField(editable=False, null=True),
        ),
    ]
