
import access.encryption
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0005_keyless_and_comfyui'),
    ]

    operations = [
        migrations.AddField(
            model_name='accesskey',
            name='session_token',
            field=access.encryption.EncryptedTextField(editable=False, null=True, verbose_name='session token'),
        ),
    ]
