
import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0003_source_to_the_outside'),
        ('models_registry', '0005_prompt_style'),
    ]

    operations = [
        migrations.CreateModel(
            name='StylePreset',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(help_text='Identifier in requests.', max_length=100, verbose_name='key')),
                ('variant', models.CharField(blank=True, help_text='For keys with several variants. Empty: the default variant of the key.', max_length=100, verbose_name='variant')),
                ('title', models.CharField(blank=True, max_length=200, verbose_name='title')),
                ('enabled', models.BooleanField(default=True, verbose_name='enabled')),
                ('task', models.CharField(choices=[('img2img', 'from a picture'), ('txt2img', 'from words alone')], default='img2img', max_length=8, verbose_name='task')),
                ('prompt', models.TextField(blank=True, help_text='{prompt} is replaced by the prompt of the request. Without it, this text is appended.', max_length=10000, verbose_name='prompt')),
                ('negative_prompt', models.TextField(blank=True, max_length=10000, verbose_name='negative prompt')),
                ('prompt_required', models.BooleanField(default=False, verbose_name='prompt required')),
                ('sampler', models.CharField(default='DPM++ 2M', max_length=64, verbose_name='sampler')),
                ('scheduler', models.CharField(default='Karras', max_length=64, verbose_name='scheduler')),
                ('steps', models.PositiveIntegerField(default=20, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(500)], verbose_name='steps')),
                ('guidance_scale', models.FloatField(default=7.0, validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(100)], verbose_name='guidance scale')),
                ('strength', models.FloatField(default=0.6, validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(1)], verbose_name='strength')),
                ('clip_skip', models.PositiveIntegerField(default=1, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(12)], verbose_name='CLIP skip')),
                ('keep_texture', models.BooleanField(default=True, verbose_name='keep the texture of the image')),
                ('long_side', models.PositiveIntegerField(default=704, help_text='In pixels; the short side follows the aspect ratio of the input image. 0: the size of the input image.', validators=[django.core.validators.MaxValueValidator(4096)], verbose_name='long side')),
                ('width', models.PositiveIntegerField(default=512, validators=[django.core.validators.MinValueValidator(64), django.core.validators.MaxValueValidator(4096)], verbose_name='width')),
                ('height', models.PositiveIntegerField(default=512, validators=[django.core.validators.MinValueValidator(64), django.core.validators.MaxValueValidator(4096)], verbose_name='height')),
                ('control_module', models.CharField(blank=True, help_text='Empty: no ControlNet.', max_length=64, verbose_name='preprocessor')),
                ('control_weight', models.FloatField(default=1.0, validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(2)], verbose_name='ControlNet weight')),
                ('control_optional', models.BooleanField(default=False, help_text='Generate without the ControlNet if its file is missing. Otherwise such requests are refused.', verbose_name='ControlNet optional')),
                ('max_steps', models.PositiveIntegerField(default=100, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(500)], verbose_name='max steps')),
                ('max_long_side', models.PositiveIntegerField(default=2048, validators=[django.core.validators.MinValueValidator(64), django.core.validators.MaxValueValidator(4096)], verbose_name='max long side')),
                ('allowed_sources', models.ManyToManyField(blank=True, db_table='models_registry_style_preset_source', help_text='None selected: all sources.', related_name='+', to='access.businesssource', verbose_name='allowed sources')),
                ('checkpoint', models.ForeignKey(blank=True, help_text='None selected: the default checkpoint.', limit_choices_to={'kind': 'checkpoint'}, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='models_registry.modelfile', verbose_name='checkpoint')),
                ('control_model', models.ForeignKey(blank=True, limit_choices_to={'kind': 'controlnet'}, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='models_registry.modelfile', verbose_name='ControlNet')),
                ('vae', models.ForeignKey(blank=True, help_text='None selected: the VAE of the checkpoint.', limit_choices_to={'kind': 'vae'}, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='models_registry.modelfile', verbose_name='VAE')),
            ],
            options={
                'verbose_name': 'style preset',
                'verbose_name_plural': 'style presets',
                'ordering': ['key', 'variant'],
            },
        ),
        migrations.CreateModel(
            name='StylePresetLora',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='Name in requests.', max_length=255, verbose_name='name')),
                ('weight', models.FloatField(default=0.0, help_text='Used if a request sets no weight.', validators=[django.core.validators.MinValueValidator(-10), django.core.validators.MaxValueValidator(10)], verbose_name='weight')),
                ('lora', models.ForeignKey(limit_choices_to={'kind': 'lora'}, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='models_registry.modelfile', verbose_name='LoRA')),
                ('preset', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='loras', to='models_registry.stylepreset')),
            ],
            options={
                'verbose_name': 'LoRA of a style preset',
                'verbose_name_plural': 'LoRAs of a style preset',
                'ordering': ['id'],
            },
        ),
        migrations.AddConstraint(
            model_name='stylepreset',
            constraint=models.UniqueConstraint(fields=('key', 'variant'), name='one_style_preset_per_key'),
        ),
        migrations.AddConstraint(
            model_name='stylepresetlora',
            constraint=models.UniqueConstraint(fields=('preset', 'name'), name='one_lora_per_name_and_preset'),
        ),
    ]
