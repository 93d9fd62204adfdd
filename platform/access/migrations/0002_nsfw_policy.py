from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='businesssource',
            name='nsfw_policy',
            field=models.CharField(choices=[('off', 'not checked'), ('flag', 'flagged'), ('blur', 'blurred'), ('blank', 'replaced by a blank image'), ('refuse', 'refused: the job fails')], default='off', help_text='Minimum measure; a request may choose a stricter one. Requires an NSFW detector in the registry.', max_length=8, verbose_name='NSFW policy'),
        ),
    ]
