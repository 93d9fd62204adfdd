import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

from models_registry.models.workflow_templates import shipped


def load_shipped_workflows(apps, schema_editor):
    templates = apps.get_model("models_registry", "WorkflowTemplate").objects
    for fields in shipped():
        templates.get_or_create(name=fields["name"], defaults=fields)


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('access', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='ScanRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('asked_at', models.DateTimeField(auto_now_add=True, verbose_name='requested')),
                ('started_at', models.DateTimeField(null=True, verbose_name='started')),
                ('moved_at', models.DateTimeField(auto_now=True, verbose_name='last progress')),
                ('finished_at', models.DateTimeField(null=True, verbose_name='finished')),
                ('files', models.PositiveIntegerField(default=0, verbose_name='files')),
                ('files_done', models.PositiveIntegerField(default=0, verbose_name='files done')),
                ('current', models.CharField(blank=True, max_length=500, verbose_name='current file')),
                ('summary', models.CharField(blank=True, max_length=500, verbose_name='outcome')),
                ('failed', models.BooleanField(default=False, verbose_name='failed')),
            ],
            options={
                'verbose_name': 'scan',
                'verbose_name_plural': 'scans',
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='ModelFile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('checkpoint', 'checkpoint'), ('lora', 'LoRA'), ('vae', 'VAE'), ('controlnet', 'ControlNet'), ('embedding', 'embedding'), ('upscaler', 'upscaler'), ('preprocessor', 'preprocessor'), ('matting', 'matting model'), ('nsfw', 'NSFW detector'), ('face_detector', 'face detector'), ('face_restorer', 'face restorer'), ('unknown', 'unknown')], default='unknown', max_length=16, verbose_name='kind')),
                ('family', models.CharField(choices=[('sd15', 'Stable Diffusion 1.x'), ('sd2', 'Stable Diffusion 2.x'), ('sdxl', 'Stable Diffusion XL'), ('unknown', 'unknown')], default='unknown', max_length=12, verbose_name='family')),
                ('name', models.CharField(help_text='Name in requests. Initially the file name without extension.', max_length=255, verbose_name='name')),
                ('aliases', models.JSONField(blank=True, default=list, help_text='Other names under which clients may request this file.', verbose_name='other names')),
                ('path', models.CharField(help_text='Relative to MODELS_ROOT.', max_length=500, unique=True, verbose_name='path')),
                ('size_bytes', models.BigIntegerField(default=0, verbose_name='size in bytes')),
                ('modified_ns', models.BigIntegerField(default=0, editable=False)),
                ('sha256', models.CharField(blank=True, db_index=True, max_length=64, verbose_name='SHA-256')),
                ('tensors_sha256', models.CharField(blank=True, help_text="Hash without the safetensors header, by which kohya's tools and A1111 identify LoRAs.", max_length=64, verbose_name='SHA-256 of the tensors')),
                ('legacy_hash', models.CharField(blank=True, help_text='Eight digits, over part of the file, as shown by old A1111 versions and its ControlNet.', max_length=8, verbose_name='legacy hash')),
                ('prediction_type', models.CharField(blank=True, choices=[('epsilon', 'noise (epsilon)'), ('v_prediction', 'velocity (v-prediction)')], help_text='What the checkpoint was trained to predict. Empty: as its file says.', max_length=12, verbose_name='prediction type')),
                ('zero_terminal_snr', models.BooleanField(blank=True, help_text='Whether the checkpoint was trained with zero terminal SNR. Unknown: as its file says.', null=True, verbose_name='zero terminal SNR')),
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
            name='FaceDetector',
            fields=[
            ],
            options={
                'verbose_name': 'face detector',
                'verbose_name_plural': 'face detectors',
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('models_registry.modelfile',),
        ),
        migrations.CreateModel(
            name='FaceRestorer',
            fields=[
            ],
            options={
                'verbose_name': 'face restorer',
                'verbose_name_plural': 'face restorers',
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
        migrations.CreateModel(
            name='Preprocessor',
            fields=[
            ],
            options={
                'verbose_name': 'preprocessor',
                'verbose_name_plural': 'preprocessors',
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
        migrations.CreateModel(
            name='PromptStyle',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=255, unique=True, verbose_name='name')),
                ('prompt', models.TextField(blank=True, help_text='{prompt} is replaced by the prompt of the request. Without it, this text is appended.', max_length=10000, verbose_name='prompt')),
                ('negative_prompt', models.TextField(blank=True, max_length=10000, verbose_name='negative prompt')),
                ('allowed_sources', models.ManyToManyField(blank=True, help_text='None selected: all sources.', related_name='+', to='access.businesssource', verbose_name='allowed sources')),
            ],
            options={
                'verbose_name': 'prompt style',
                'verbose_name_plural': 'prompt styles',
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='StylePreset',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(help_text='Identifier in requests.', max_length=100, verbose_name='key')),
                ('variant', models.CharField(blank=True, help_text='For keys with several variants. Empty: the default variant of the key.', max_length=100, verbose_name='variant')),
                ('title', models.CharField(blank=True, max_length=200, verbose_name='title')),
                ('enabled', models.BooleanField(default=True, verbose_name='enabled')),
                ('task', models.CharField(choices=[('img2img', 'image to image'), ('txt2img', 'text to image'), ('inpaint', 'inpainting'), ('outpaint', 'outpainting')], default='img2img', max_length=8, verbose_name='task')),
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
        migrations.CreateModel(
            name='WorkflowTemplate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100, unique=True, verbose_name='name')),
                ('enabled', models.BooleanField(default=True, verbose_name='enabled')),
                ('purpose', models.CharField(blank=True, choices=[('txt2img', 'text to image'), ('img2img', 'image to image'), ('inpaint', 'inpainting'), ('hires', 'hires fix, latent upscale'), ('hires_upscaler', 'hires fix, upscale model'), ('change_background', 'change of background'), ('upscale', 'upscaling')], help_text='Used for ComfyUI requests that match no rule. Empty: used only for the rules below.', max_length=20, verbose_name='default for')),
                ('graph', models.JSONField(help_text="JSON file from ComfyUI's menu item Export (API).", verbose_name='graph')),
                ('slots', models.JSONField(help_text='Inputs of the graph to fill in: {"prompt": "6.text", "seed": "3.seed", "loras": ["4:0", "4:1"], "filename_prefix": "9.filename_prefix"}. docs/comfyui.md lists the slots.', verbose_name='slots')),
            ],
            options={
                'verbose_name': 'workflow template',
                'verbose_name_plural': 'workflow templates',
                'ordering': ['name'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('enabled', True), models.Q(('purpose', ''), _negated=True)), fields=('purpose',), name='one_workflow_per_purpose')],
            },
        ),
        migrations.CreateModel(
            name='WorkflowRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('dialect', models.CharField(blank=True, help_text='Empty: any.', max_length=32, verbose_name='dialect')),
                ('operation', models.CharField(blank=True, help_text='Name of the endpoint, as shown on the page of a job. Empty: any.', max_length=64, verbose_name='operation')),
                ('style', models.CharField(blank=True, help_text='Prompt style or req_key of the request. Empty: any.', max_length=100, verbose_name='style or req_key')),
                ('template', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='rules', to='models_registry.workflowtemplate')),
            ],
            options={
                'verbose_name': 'workflow rule',
                'verbose_name_plural': 'workflow rules',
                'ordering': ['id'],
            },
        ),
        migrations.AddIndex(
            model_name='modelfile',
            index=models.Index(fields=['kind', 'enabled'], name='model_by_kind'),
        ),
        migrations.AddConstraint(
            model_name='modelfile',
            constraint=models.UniqueConstraint(fields=('kind', 'name'), name='one_model_of_a_kind_per_name'),
        ),
        migrations.AddConstraint(
            model_name='stylepreset',
            constraint=models.UniqueConstraint(fields=('key', 'variant'), name='one_style_preset_per_key'),
        ),
        migrations.AddConstraint(
            model_name='stylepresetlora',
            constraint=models.UniqueConstraint(fields=('preset', 'name'), name='one_lora_per_name_and_preset'),
        ),
        migrations.AddConstraint(
            model_name='workflowrule',
            constraint=models.UniqueConstraint(fields=('dialect', 'operation', 'style'), name='one_workflow_per_rule'),
        ),
        migrations.RunPython(load_shipped_workflows, migrations.RunPython.noop),
    ]
