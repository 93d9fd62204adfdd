from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('models_registry', '0016_checkpoint_parts'),
    ]

    operations = [
        migrations.AddField(
            model_name='modelfile',
            name='variant',
            field=models.CharField(blank=True, choices=[('kontext', 'FLUX.1 Kontext'), ('edit', 'Qwen-Image-Edit'), ('edit_plus', 'Qwen-Image-Edit-2509'), ('edit_2511', 'Qwen-Image-Edit-2511')], default='', help_text='A model that edits by instruction and has the tensors of one that does not: its images are references. Empty: as its file says.', max_length=16, verbose_name='editing model'),
            preserve_default=False,
        ),
    ]
