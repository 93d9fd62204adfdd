import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('access', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='ModelFile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('checkpoint', 'checkpoint'), ('lora', 'LoRA'), ('vae', 'VAE'), ('controlnet', 'ControlNet'), ('embedding', 'embedding'), ('upscaler', 'upscaler'), ('unknown', 'unknown')], default='unknown', max_length=12, verbose_name='kind')),
                ('family', models.CharField(choices=[('sd15', 'Stable Diffusion 1.x'), ('sd2', 'Stable Diffusion 2.x'), ('sdxl', 'Stable Diffusion XL'), ('unknown', 'unknown')], default='unknown', max_length=12, verbose_name='family')),
                ('name', models.CharField(help_text='Name in requests. Initially the file name without extension.', max_length=255, verbose_name='name')),
                ('path', models.CharField(help_text='Relative to MODELS_ROOT.', max_length=500, unique=True, verbose_name='path')),
                ('size_bytes', models.BigIntegerField(default=0, verbose_name='size in bytes')),
                ('modified_ns', models.BigIntegerField(default=0, editable=False)),
                ('sha256', models.CharField(blank=True, db_index=True, max_length=64, verbose_name='SHA-256')),
                ('tensors_sha256', models.CharField(blank=True, help_text="Hash without the safetensors header, by which kohya's tools and A1111 identify LoRAs.", max_length=64, verbose_name='SHA-256 of the tensors')),
                ('metadata', models.JSONField(blank=True, default=dict, verbose_name='metadata')),
                ('licence', models.CharField(blank=True, max_length=200, verbose_name='license')),
                ('trigger_words', models.CharField(blank=True, max_length=500, verbose_name='trigger words')),
                ('cost_multiplier', models.FloatField(default=1.0, validators=[django.core.validators.MinValueValidator(0)], verbose_name='cost multiplier')),
                ('enabled', models.BooleanField(default=True, verbose_name='enabled')),
                ('is_default', models.BooleanField(default=False, help_text='Used if a request names no model of this kind.', verbose_name='default')),
                ('missing_since', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='missing since')),
                ('problem', models.CharField(blank=True, editable=False, max_length=300, verbose_name='problem')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='registered')),
                ('scanned_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='scanned')),
                ('allowed_sources', models.ManyToManyField(blank=True, help_text='None selected: all sources.', related_name='+', to='access.businesssource', verbose_name='allowed sources')),
            ],
            options={
                'verbose_name': 'model file',
                'verbose_name_plural': 'model files',
                'ordering': ['kind', 'name'],
            },
        ),
        migrations.CreateModel(
            name='Checkpoint',
            fields=[
            ],
            options={
                'verbose_name': 'checkpoint',
                'verbose_name_plural': 'checkpoints',
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('models_registry.modelfile',),
        ),
        migrations.CreateModel(
            name='ControlNet',
            fields=[
            ],
            options={
                'verbose_name': 'ControlNet',
                'verbose_name_plural': 'ControlNets',
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('models_registry.modelfile',),
        ),
        migrations.CreateModel(
            name='Embedding',
            fields=[
            ],
            options={
                'verbose_name': 'embedding',
                'verbose_name_plural': 'embeddings',
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('models_registry.modelfile',),
        ),
        migrations.CreateModel(
            name='Lora',
            fields=[
            ],
            options={
                'verbose_name': 'LoRA',
                'verbose_name_plural': 'LoRAs',
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('models_registry.modelfile',),
        ),
        migrations.CreateModel(
            name='Upscaler',
            fields=[
            ],
            options={
                'verbose_name': 'upscaler',
                'verbose_name_plural': 'upscalers',
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('models_registry.modelfile',),
        ),
        migrations.CreateModel(
            name='Vae',
            fields=[
            ],
            options={
                'verbose_name': 'VAE',
                'verbose_name_plural': 'VAEs',
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('models_registry.modelfile',),
        ),
        migrations.AddIndex(
            model_name='modelfile',
            index=models.Index(fields=['kind', 'enabled'], name='model_by_kind'),
        ),
        migrations.AddConstraint(
            model_name='modelfile',
            constraint=models.UniqueConstraint(fields=('kind', 'name'), name='one_model_of_a_kind_per_name'),
        ),
    ]
