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
            ],
            options={
                'verbose_name': 'input picture',
                'verbose_name_plural': 'input pictures',
            },
        ),
        migrations.CreateModel(
            name='Job',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('dialect', models.CharField(max_length=32, verbose_name='dialect')),
                ('operation', models.CharField(blank=True, max_length=64, verbose_name='operation')),
                ('external_id', models.CharField(blank=True, max_length=200, verbose_name="caller's id")),
                ('lane', models.PositiveSmallIntegerField(choices=[(0, 'interactive'), (1, 'asynchronous'), (2, 'bulk')], default=1, verbose_name='lane')),
                ('state', models.CharField(choices=[('queued', 'queued'), ('running', 'running'), ('succeeded', 'succeeded'), ('failed', 'failed'), ('cancelled', 'cancelled'), ('expired', 'expired')], default='queued', max_length=10, verbose_name='state')),
                ('received', models.JSONField(default=dict, verbose_name='request as received')),
                ('request', models.JSONField(verbose_name='request as understood')),
                ('checkpoint_sha256', models.CharField(max_length=64)),
                ('attempt', models.PositiveSmallIntegerField(default=0, verbose_name='attempt')),
                ('runner_deaths', models.PositiveSmallIntegerField(default=0, verbose_name='runner deaths')),
                ('runner_boot_id', models.CharField(blank=True, max_length=64)),
                ('lease_expires_at', models.DateTimeField(blank=True, null=True, verbose_name='lease expires')),
                ('signal', models.CharField(blank=True, choices=[('discard', 'cancel'), ('interrupt', 'stop and keep what there is'), ('skip', 'skip to the next batch')], default='', max_length=10, verbose_name='signal')),
                ('interrupted', models.BooleanField(default=False, verbose_name='interrupted')),
                ('cancel_requested_at', models.DateTimeField(blank=True, null=True, verbose_name='cancel requested')),
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
                ('checkpoint', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='models_registry.modelfile', verbose_name='checkpoint')),
                ('key', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='access.accesskey', verbose_name='access key')),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='jobs', to='access.businesssource', verbose_name='business source')),
            ],
            options={
                'verbose_name': 'job',
                'verbose_name_plural': 'jobs',
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='Runner',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=64, unique=True, verbose_name='name')),
                ('url', models.URLField(max_length=300, verbose_name='address')),
                ('token', access.encryption.EncryptedTextField(blank=True, default='', help_text='Empty: RUNNER_TOKEN.', verbose_name='token')),
                ('backend', models.CharField(choices=[('pipeline', 'pipeline'), ('comfyui', 'ComfyUI')], default='pipeline', max_length=16, verbose_name='backend')),
                ('enabled', models.BooleanField(default=True, verbose_name='enabled')),
                ('draining', models.BooleanField(default=False, help_text='Finishes what it has, takes nothing new.', verbose_name='draining')),
                ('slots', models.PositiveIntegerField(default=0, help_text='As the runner reported.', verbose_name='slots')),
                ('boot_id', models.CharField(blank=True, editable=False, max_length=64)),
                ('device', models.CharField(blank=True, editable=False, max_length=200, verbose_name='device')),
                ('loaded', models.JSONField(default=list, editable=False, verbose_name='loaded models')),
                ('memory_bytes', models.BigIntegerField(default=0, editable=False, verbose_name='memory')),
                ('seen_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='last seen')),
                ('problem', models.CharField(blank=True, editable=False, max_length=300, verbose_name='problem')),
            ],
            options={
                'verbose_name': 'runner',
                'verbose_name_plural': 'runners',
                'ordering': ['name'],
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
        migrations.AddField(
            model_name='job',
            name='runner',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='jobs', to='jobs.runner', verbose_name='runner'),
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
            name='Output',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('index', models.PositiveIntegerField(verbose_name='index')),
                ('file', models.FileField(max_length=300, upload_to='', verbose_name='file')),
                ('sha256', models.CharField(max_length=64, verbose_name='SHA-256')),
                ('size_bytes', models.PositiveIntegerField(verbose_name='size in bytes')),
                ('width', models.PositiveIntegerField(verbose_name='width')),
                ('height', models.PositiveIntegerField(verbose_name='height')),
                ('seed', models.BigIntegerField(verbose_name='seed')),
                ('content_type', models.CharField(default='image/png', max_length=32, verbose_name='type')),
                ('infotext', models.TextField(blank=True, verbose_name='infotext')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created')),
                ('job', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='outputs', to='jobs.job', verbose_name='job')),
            ],
            options={
                'verbose_name': 'picture',
                'verbose_name_plural': 'pictures',
                'ordering': ['job', 'index'],
                'constraints': [models.UniqueConstraint(fields=('job', 'index'), name='one_output_per_index')],
            },
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
        migrations.AddConstraint(
            model_name='job',
            constraint=models.UniqueConstraint(condition=models.Q(('external_id', ''), _negated=True), fields=('source', 'dialect', 'external_id'), name='one_job_per_callers_id'),
        ),
    ]
