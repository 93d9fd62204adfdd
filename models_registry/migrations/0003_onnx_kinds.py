from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('models_registry', '0002_style_presets'),
    ]

    operations = [
        migrations.CreateModel(
            name='Matting',
            fields=[
            ],
            options={
                'verbose_name': 'matting model',
                'verbose_name_plural': 'matting models',
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('models_registry.modelfile',),
        ),
        migrations.CreateModel(
            name='NsfwDetector',
            fields=[
            ],
            options={
                'verbose_name': 'NSFW detector',
                'verbose_name_plural': 'NSFW detectors',
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('models_registry.modelfile',),
        ),
        migrations.AlterField(
            model_name='modelfile',
            name='kind',
            field=models.CharField(choices=[('checkpoint', 'checkpoint'), ('lora', 'LoRA'), ('vae', 'VAE'), ('controlnet', 'ControlNet'), ('embedding', 'embedding'), ('upscaler', 'upscaler'), ('matting', 'matting model'), ('nsfw', 'NSFW detector'), ('unknown', 'unknown')], default='unknown', max_length=12, verbose_name='kind'),
        ),
    ]
