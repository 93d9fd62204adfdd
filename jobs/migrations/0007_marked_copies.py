
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0006_id_may_repeat'),
    ]

    operations = [
        migrations.AlterField(
            model_name='output',
            name='kind',
            field=models.CharField(choices=[('picture', 'picture'), ('control_map', 'control map'), ('marked', 'copy with a label')], default='picture', max_length=16, verbose_name='kind'),
        ),
    ]
