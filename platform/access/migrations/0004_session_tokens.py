
import access.encryption
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0003_source_to_the_outside'),
    ]

    operations = [
        migrations.AddField(
            model_name='accesskey',
            name='session_token',
            field=access.encryption.EncryptedTextField(editable=False, null=True, verbose_name='session token'),
        ),
    ]
