from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0020_training_keep_days'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='job',
            index=models.Index(fields=['-created_at', '-id'], name='job_newest_first'),
        ),
        migrations.RemoveIndex(
            model_name='job',
            name='job_newest',
        ),
    ]
