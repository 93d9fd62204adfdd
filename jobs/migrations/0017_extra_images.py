from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0016_trainings'),
    ]

    operations = [
        migrations.AlterField(
            model_name='output',
            name='kind',
            field=models.CharField(choices=[('picture', 'image'), ('control_map', 'control map'), ('extra', 'extra image'), ('marked', 'labeled copy')], default='picture', max_length=16, verbose_name='kind'),
        ),
    ]
