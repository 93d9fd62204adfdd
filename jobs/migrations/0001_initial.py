import access.encryption
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('access', '0001_initial'),
        ('models_registry', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='InputPicture',
            fields=[
                ('sha256', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('file', models.FileField(max_length=300, upload_to='', verbose_name='file')),
                ('size_bytes', models.PositiveIntegerField(verbose_name='size in bytes')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created')),
                ('used_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now, verbose_name='last used')),
            ],
            options={
                'verbose_name': 'input image',
                'verbose_name_plural': 'input images',
            },
        ),
        migrations.CreateModel(
            name='Job',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('dialect', models.CharField(max_length=32, verbose_name='dialect')),
                ('operation', models.CharField(blank=True, max_length=64, verbose_name='operation')),
                ('external_id', models.CharField(blank=True, max_length=200, verbose_name='external id')),
                ('id_may_repeat', models.BooleanField(default=False)),
                ('has_callback', models.BooleanField(default=False, verbose_name='callback')),
                ('backend', models.CharField(choices=[('pipeline', 'pipeline'), ('comfyui', 'ComfyUI')], default='pipeline', max_length=16, verbose_name='backend')),
                ('lane', models.PositiveSmallIntegerField(choices=[(0, 'interactive'), (1, 'asynchronous'), (2, 'bulk')], default=1, verbose_name='lane')),
                ('state', models.CharField(choices=[('queued', 'queued'), ('running', 'running'), ('succeeded', 'succeeded'), ('failed', 'failed'), ('cancelled', 'cancelled'), ('expired', 'expired')], default='queued', max_length=10, verbose_name='state')),
                ('received', models.JSONField(default=dict, verbose_name='request as received')),
                ('request', models.JSONField(verbose_name='parsed request')),
                ('checkpoint_sha256', models.CharField(max_length=64)),
                ('files', models.JSONField(default=dict, verbose_name='other model files')),
                ('attempt', models.PositiveSmallIntegerField(default=0, verbose_name='attempt')),
                ('runner_deaths', models.PositiveSmallIntegerField(default=0, verbose_name='runner deaths')),
                ('runner_boot_id', models.CharField(blank=True, max_length=64)),
                ('lease_expires_at', models.DateTimeField(blank=True, null=True, verbose_name='lease expires')),
                ('signal', models.CharField(blank=True, choices=[('discard', 'cancel'), ('interrupt', 'stop and keep the finished images'), ('skip', 'skip to the next batch')], default='', max_length=10, verbose_name='signal')),
                ('interrupted', models.BooleanField(default=False, verbose_name='interrupted')),
                ('cancel_requested_at', models.DateTimeField(blank=True, null=True, verbose_name='cancel requested')),
                ('cancel_note', models.CharField(blank=True, db_default='', default='', max_length=300)),
                ('step', models.PositiveIntegerField(default=0, verbose_name='step')),
                ('steps', models.PositiveIntegerField(default=0, verbose_name='steps')),
                ('images_done', models.PositiveIntegerField(default=0)),
                ('batch', models.PositiveIntegerField(default=0)),
                ('batch_step', models.PositiveIntegerField(default=0)),
                ('error_code', models.CharField(blank=True, max_length=64, verbose_name='error code')),
                ('error_message', models.TextField(blank=True, verbose_name='error')),
                ('cost_estimate', models.DecimalField(decimal_places=6, default=0, max_digits=18, verbose_name='reserved cost')),
                ('cost', models.DecimalField(decimal_places=6, default=0, max_digits=18, verbose_name='cost')),
                ('engine_seconds', models.FloatField(default=0, verbose_name='engine seconds')),
                ('device_seconds', models.FloatField(default=0, validators=[django.core.validators.MinValueValidator(0)], verbose_name='device seconds')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='created')),
                ('started_at', models.DateTimeField(blank=True, null=True, verbose_name='started')),
                ('finished_at', models.DateTimeField(blank=True, null=True, verbose_name='finished')),
                ('expires_at', models.DateTimeField(blank=True, null=True, verbose_name='expires')),
                ('checkpoint', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='models_registry.modelfile', verbose_name='checkpoint')),
                ('key', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='access.accesskey', verbose_name='access key')),
                ('repeats', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='repetitions', to='jobs.job', verbose_name='repeats')),
                ('source', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='jobs', to='access.businesssource', verbose_name='business source')),
                ('workflow', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='models_registry.workflowtemplate', verbose_name='workflow template')),
            ],
            options={
                'verbose_name': 'job',
                'verbose_name_plural': 'jobs',
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='Usage',
            fields=[
                ('source', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='usage', serialize=False, to='access.businesssource')),
                ('served', models.FloatField(default=0)),
                ('work', models.FloatField(default=0)),
                ('as_of', models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
        migrations.CreateModel(
            name='Preview',
            fields=[
                ('job', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='preview', serialize=False, to='jobs.job')),
                ('jpeg', models.BinaryField()),
                ('updated_at', models.DateTimeField(auto_now=True)),
            ],
        ),
        migrations.CreateModel(
            name='Callback',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('dialect', models.CharField(max_length=32, verbose_name='dialect')),
                ('url', models.CharField(max_length=2000, verbose_name='address')),
                ('headers', models.JSONField(default=dict, verbose_name='headers')),
                ('extra', models.JSONField(default=dict, verbose_name='extra')),
                ('base_url', models.CharField(blank=True, max_length=300)),
                ('body', models.TextField(blank=True, verbose_name='body')),
                ('state', models.CharField(choices=[('waiting', 'waiting for its job'), ('pending', 'to be sent'), ('sending', 'being sent'), ('delivered', 'delivered'), ('dead', 'given up')], default='waiting', max_length=9, verbose_name='state')),
                ('attempts', models.PositiveIntegerField(default=0, verbose_name='attempts')),
                ('tries', models.PositiveIntegerField(default=0)),
                ('next_at', models.DateTimeField(blank=True, null=True, verbose_name='next')),
                ('last_status', models.PositiveIntegerField(blank=True, null=True, verbose_name='last status')),
                ('last_excerpt', models.CharField(blank=True, max_length=300, verbose_name='last response')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='created')),
                ('delivered_at', models.DateTimeField(blank=True, null=True, verbose_name='delivered')),
                ('job', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='callback', to='jobs.job', verbose_name='job')),
            ],
            options={
                'verbose_name': 'callback',
                'verbose_name_plural': 'callbacks',
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='JobInput',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sha256', models.CharField(db_index=True, max_length=64)),
                ('job', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='inputs', to='jobs.job')),
            ],
            options={
                'verbose_name': 'input of a job',
                'verbose_name_plural': 'inputs of jobs',
            },
        ),
        migrations.CreateModel(
            name='ModelSample',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('file', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='samples', to='models_registry.modelfile', verbose_name='model file')),
                ('job', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='sample_of', to='jobs.job', verbose_name='job')),
            ],
            options={
                'verbose_name': 'sample image',
                'verbose_name_plural': 'sample images',
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='Output',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('picture', 'image'), ('control_map', 'control map'), ('marked', 'labeled copy')], default='picture', max_length=16, verbose_name='kind')),
                ('index', models.PositiveIntegerField(verbose_name='index')),
                ('file', models.FileField(max_length=300, upload_to='', verbose_name='file')),
                ('target_name', models.CharField(blank=True, default='', max_length=500)),
                ('sha256', models.CharField(max_length=64, verbose_name='SHA-256')),
                ('size_bytes', models.PositiveIntegerField(verbose_name='size in bytes')),
                ('width', models.PositiveIntegerField(verbose_name='width')),
                ('height', models.PositiveIntegerField(verbose_name='height')),
                ('seed', models.BigIntegerField(verbose_name='seed')),
                ('content_type', models.CharField(default='image/png', max_length=32, verbose_name='type')),
                ('infotext', models.TextField(blank=True, verbose_name='infotext')),
                ('nsfw', models.BooleanField(default=None, null=True, verbose_name='NSFW')),
                ('nsfw_score', models.FloatField(default=None, null=True, verbose_name='NSFW score')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created')),
                ('job', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='outputs', to='jobs.job', verbose_name='job')),
            ],
            options={
                'verbose_name': 'image',
                'verbose_name_plural': 'images',
                'ordering': ['job', 'index'],
            },
        ),
        migrations.CreateModel(
            name='Runner',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=64, unique=True, verbose_name='name')),
                ('url', models.URLField(max_length=300, verbose_name='address')),
                ('token', access.encryption.EncryptedTextField(blank=True, default='', help_text='Empty: the value of RUNNER_TOKEN.', verbose_name='token')),
                ('backend', models.CharField(choices=[('pipeline', 'pipeline'), ('comfyui', 'ComfyUI')], default='pipeline', max_length=16, verbose_name='backend')),
                ('enabled', models.BooleanField(default=True, verbose_name='enabled')),
                ('draining', models.BooleanField(default=False, help_text='Finishes its running jobs and accepts no new ones.', verbose_name='draining')),
                ('slots', models.PositiveIntegerField(default=0, help_text='Reported by the runner.', verbose_name='slots')),
                ('boot_id', models.CharField(blank=True, editable=False, max_length=64)),
                ('device', models.CharField(blank=True, editable=False, max_length=200, verbose_name='device')),
                ('loaded', models.JSONField(default=list, editable=False, verbose_name='loaded models')),
                ('memory_bytes', models.BigIntegerField(default=0, editable=False, verbose_name='memory')),
                ('version', models.CharField(blank=True, editable=False, max_length=100, verbose_name='version')),
                ('figures', models.JSONField(default=dict, editable=False, verbose_name='figures')),
                ('inventory', models.CharField(blank=True, editable=False, max_length=64)),
                ('nodes', models.JSONField(default=list, editable=False)),
                ('seen_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='last seen')),
                ('problem', models.CharField(blank=True, editable=False, max_length=300, verbose_name='problem')),
                ('own_files', models.ManyToManyField(editable=False, related_name='runners', to='models_registry.modelfile', verbose_name='own model files')),
            ],
            options={
                'verbose_name': 'runner',
                'verbose_name_plural': 'runners',
                'ordering': ['name'],
            },
        ),
        migrations.AddField(
            model_name='job',
            name='runner',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='jobs', to='jobs.runner', verbose_name='runner'),
        ),
        migrations.CreateModel(
            name='StorageTarget',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('channel', models.CharField(help_text='Identifies the target in requests, for example 1202.', max_length=64, validators=[django.core.validators.RegexValidator('^[A-Za-z0-9_.-]+$')], verbose_name='channel')),
                ('visibility', models.CharField(choices=[('public', 'public'), ('private', 'private')], default='public', max_length=8, verbose_name='type')),
                ('enabled', models.BooleanField(default=True, verbose_name='enabled')),
                ('storage', models.CharField(default='targets', help_text='A name from STORAGE_TARGETS, or “targets” for the folder of that name in DATA_DIR.', max_length=64, verbose_name='storage')),
                ('folder', models.CharField(blank=True, help_text='Folder in the storage. Empty: its root.', max_length=100, verbose_name='folder')),
                ('public_host', models.CharField(blank=True, help_text="Public URL of the storage's root, for example https://img.example.com.", max_length=300, validators=[django.core.validators.URLValidator(['http', 'https'])], verbose_name='public host')),
                ('allowed_sources', models.ManyToManyField(blank=True, help_text='Sources that may use the target. None selected: all sources.', related_name='+', to='access.businesssource', verbose_name='allowed sources')),
            ],
            options={
                'verbose_name': 'storage target',
                'verbose_name_plural': 'storage targets',
                'ordering': ['channel', 'visibility'],
            },
        ),
        migrations.AddField(
            model_name='job',
            name='storage_target',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='jobs.storagetarget', verbose_name='storage target'),
        ),
        migrations.CreateModel(
            name='Transition',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('from_state', models.CharField(blank=True, max_length=10, verbose_name='from')),
                ('to_state', models.CharField(choices=[('queued', 'queued'), ('running', 'running'), ('succeeded', 'succeeded'), ('failed', 'failed'), ('cancelled', 'cancelled'), ('expired', 'expired')], max_length=10, verbose_name='to')),
                ('note', models.CharField(blank=True, max_length=300, verbose_name='note')),
                ('at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='at')),
                ('job', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='transitions', to='jobs.job', verbose_name='job')),
            ],
            options={
                'verbose_name': 'transition',
                'verbose_name_plural': 'transitions',
                'ordering': ['id'],
            },
        ),
        migrations.CreateModel(
            name='ArchivedJob',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('dialect', models.CharField(max_length=32, verbose_name='dialect')),
                ('external_id', models.CharField(blank=True, max_length=200, verbose_name='external id')),
                ('state', models.CharField(max_length=10, verbose_name='state')),
                ('error_code', models.CharField(blank=True, max_length=64, verbose_name='error code')),
                ('cost', models.DecimalField(decimal_places=6, default=0, max_digits=18, verbose_name='cost')),
                ('device_seconds', models.FloatField(default=0, verbose_name='device seconds')),
                ('created_at', models.DateTimeField(verbose_name='created')),
                ('finished_at', models.DateTimeField(verbose_name='finished')),
                ('record', models.JSONField(default=dict, verbose_name='record')),
                ('source', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='access.businesssource', verbose_name='business source')),
            ],
            options={
                'verbose_name': 'archived job',
                'verbose_name_plural': 'archived jobs',
                'ordering': ['-created_at'],
                'indexes': [models.Index(fields=['-created_at', '-id'], name='archive_newest'), models.Index(fields=['source', '-created_at', '-id'], name='archive_by_source'), models.Index(fields=['source', 'external_id'], name='archive_by_callers_id'), models.Index(fields=['source', 'finished_at'], name='archive_ends')],
            },
        ),
        migrations.CreateModel(
            name='CallbackAttempt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField(verbose_name='attempt')),
                ('at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='at')),
                ('status', models.PositiveIntegerField(blank=True, null=True, verbose_name='status')),
                ('excerpt', models.CharField(blank=True, max_length=300, verbose_name='response')),
                ('acknowledged', models.BooleanField(default=False, verbose_name='acknowledged')),
                ('callback', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='history', to='jobs.callback', verbose_name='callback')),
            ],
            options={
                'verbose_name': 'attempt',
                'verbose_name_plural': 'attempts',
                'ordering': ['id'],
                'indexes': [models.Index(fields=['at'], name='attempt_at')],
            },
        ),
        migrations.CreateModel(
            name='IdempotencyKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('dialect', models.CharField(max_length=32)),
                ('key', models.CharField(max_length=200)),
                ('fingerprint', models.CharField(max_length=64)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='access.businesssource')),
                ('job', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='idempotency_keys', to='jobs.job')),
            ],
            options={
                'verbose_name': 'idempotency key',
                'verbose_name_plural': 'idempotency keys',
                'constraints': [models.UniqueConstraint(fields=('source', 'dialect', 'key'), name='one_job_per_idempotency_key')],
            },
        ),
        migrations.AddIndex(
            model_name='callback',
            index=models.Index(fields=['state', 'next_at'], name='callback_due'),
        ),
        migrations.AddIndex(
            model_name='callback',
            index=models.Index(fields=['-created_at'], name='callback_newest'),
        ),
        migrations.AddIndex(
            model_name='callback',
            index=models.Index(fields=['state', '-created_at'], name='callback_by_state'),
        ),
        migrations.AddConstraint(
            model_name='jobinput',
            constraint=models.UniqueConstraint(fields=('job', 'sha256'), name='one_row_per_job_and_input'),
        ),
        migrations.AddConstraint(
            model_name='output',
            constraint=models.UniqueConstraint(fields=('job', 'kind', 'index'), name='one_output_per_kind_and_index'),
        ),
        migrations.AddConstraint(
            model_name='storagetarget',
            constraint=models.UniqueConstraint(fields=('channel', 'visibility'), name='one_target_per_channel_and_type'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(fields=['state', 'source', 'lane', 'created_at'], name='job_queue'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(fields=['state', 'expires_at'], name='job_expiry'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(fields=['state', 'lease_expires_at'], name='job_leases'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(fields=['runner', 'state'], name='job_slots'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(fields=['source', 'external_id'], name='job_by_callers_id'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(fields=['source', '-created_at'], name='job_by_source'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(fields=['-created_at'], name='job_newest'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(fields=['state', '-created_at'], name='job_by_state'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(fields=['source', 'state', '-created_at'], name='job_by_source_and_state'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(fields=['dialect', '-created_at'], name='job_by_dialect'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(fields=['lane', '-created_at'], name='job_by_lane'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(fields=['checkpoint', '-created_at'], name='job_by_checkpoint'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(fields=['runner', '-created_at'], name='job_by_runner'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('error_code', ''), _negated=True), fields=['error_code', '-created_at'], name='job_by_error'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('external_id', ''), _negated=True), fields=['external_id'], name='job_by_beginning_of_id', opclasses=['varchar_pattern_ops']),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('repeats__isnull', False)), fields=['repeats'], name='job_repetitions'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('finished_at__isnull', False)), fields=['finished_at'], name='job_ends'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.UniqueConstraint(condition=models.Q(models.Q(('external_id', ''), _negated=True), ('id_may_repeat', False)), fields=('source', 'dialect', 'external_id'), name='one_job_per_callers_id'),
        ),
    ]
