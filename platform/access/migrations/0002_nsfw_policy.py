from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='businesssource',
            name='nsfw_policy',
            field=models.CharField(choices=[('off', 'not checked'), ('flag', 'marked'), ('blur', 'blurred'), ('blank', 'blanked out'), ('refuse', 'refused: the job fails')], default='off', help_text='The least that is done with them; a request may ask for more. Needs a detector in the registry.', max_length=8, verbose_name='NSFW pictures'),
        ),
    ]
