import access.encryption
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from decimal import Decimal
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Account',
            fields=[
                ('owner', models.CharField(max_length=32, primary_key=True, serialize=False)),
                ('day', models.DateField()),
                ('month', models.DateField()),
                ('images_day', models.BigIntegerField(default=0)),
                ('images_month', models.BigIntegerField(default=0)),
                ('images_total', models.BigIntegerField(default=0)),
                ('cost_day', models.BigIntegerField(default=0)),
                ('cost_month', models.BigIntegerField(default=0)),
                ('cost_total', models.BigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name='BusinessSource',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('requests_per_second', models.FloatField(blank=True, help_text='All requests count, including those that query the state of a job.', null=True, validators=[django.core.validators.MinValueValidator(0.001), django.core.validators.MaxValueValidator(10000)], verbose_name='requests per second')),
                ('burst', models.PositiveIntegerField(blank=True, help_text='Burst size. Empty: same as the rate per second.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(100000)], verbose_name='burst')),
                ('images_per_day', models.PositiveIntegerField(blank=True, null=True, verbose_name='images per day')),
                ('images_per_month', models.PositiveIntegerField(blank=True, null=True, verbose_name='images per month')),
                ('cost_per_day', models.DecimalField(blank=True, decimal_places=6, max_digits=18, null=True, validators=[django.core.validators.MinValueValidator(0)], verbose_name='cost units per day')),
                ('cost_per_month', models.DecimalField(blank=True, decimal_places=6, max_digits=18, null=True, validators=[django.core.validators.MinValueValidator(0)], verbose_name='cost units per month')),
                ('total_budget', models.DecimalField(blank=True, decimal_places=6, help_text='Cost units over the whole lifetime. It is not renewed: raise it to add budget.', max_digits=18, null=True, validators=[django.core.validators.MinValueValidator(0)], verbose_name='total budget')),
                ('dialects', models.JSONField(blank=True, default=list, help_text='Names of the permitted dialects. Empty: all.', verbose_name='dialects')),
                ('networks', models.JSONField(blank=True, default=list, help_text='Networks of permitted callers: ["10.0.0.0/8"]. Empty: all.', verbose_name='networks')),
                ('expires_at', models.DateTimeField(blank=True, null=True, verbose_name='expires')),
                ('max_concurrent_jobs', models.PositiveIntegerField(default=8, validators=[django.core.validators.MinValueValidator(1)], verbose_name='concurrent jobs')),
                ('max_queued_jobs', models.PositiveIntegerField(default=200, verbose_name='queued jobs')),
                ('max_width', models.PositiveIntegerField(default=2048, validators=[django.core.validators.MaxValueValidator(4096)], verbose_name='max width')),
                ('max_height', models.PositiveIntegerField(default=2048, validators=[django.core.validators.MaxValueValidator(4096)], verbose_name='max height')),
                ('max_steps', models.PositiveIntegerField(default=150, validators=[django.core.validators.MaxValueValidator(500)], verbose_name='max steps')),
                ('max_images', models.PositiveIntegerField(default=16, validators=[django.core.validators.MaxValueValidator(256)], verbose_name='max images per job')),
                ('keep_pictures_days', models.PositiveIntegerField(blank=True, help_text="Counted from the end of the job. Empty: the platform's default, or forever if there is none.", null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(36500)], verbose_name='days to keep images')),
                ('keep_inputs_days', models.PositiveIntegerField(blank=True, help_text='Counted from the end of the last job that used them. Without its inputs, a job cannot be repeated.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(36500)], verbose_name='days to keep input images')),
                ('keep_jobs_days', models.PositiveIntegerField(blank=True, help_text='Then the job is deleted with everything that belongs to it. Its cost stays in the ledger.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(36500)], verbose_name='days to keep jobs')),
                ('name', models.CharField(help_text='Identifies the source in requests. Letters, digits, dot, dash and underscore.', max_length=64, unique=True, validators=[django.core.validators.RegexValidator('^[A-Za-z0-9][A-Za-z0-9_.-]*$')], verbose_name='name')),
                ('title', models.CharField(blank=True, max_length=200, verbose_name='title')),
                ('enabled', models.BooleanField(default=True, verbose_name='enabled')),
                ('weight', models.FloatField(default=1.0, help_text='Share of runner time relative to other sources with queued jobs.', validators=[django.core.validators.MinValueValidator(0.01), django.core.validators.MaxValueValidator(1000)], verbose_name='weight')),
                ('reachable', models.JSONField(blank=True, default=list, help_text='Hosts and networks outside the public internet from which images may be fetched and to which callbacks may be sent: ["images.example.lan", ".example.lan", "10.1.0.0/16"].', verbose_name='reachable hosts')),
                ('keyless_networks', models.JSONField(blank=True, default=list, help_text='Callers from these networks need no key in dialects without keys, such as the SMZDM API: ["10.1.0.0/16"]. Empty: no network. Proxies in front of the platform must be listed in TRUSTED_PROXIES.', verbose_name='networks without a key')),
                ('comfyui_by_pipeline', models.BooleanField(default=False, help_text='While no ComfyUI runner is registered, run requests for that backend with the diffusers pipeline instead of refusing them.', verbose_name='pipeline as fallback for ComfyUI')),
                ('public_pictures', models.BooleanField(default=False, help_text='Image URLs never expire. If off, existing permanent URLs stop working.', verbose_name='public images')),
                ('strict', models.BooleanField(default=False, help_text='Refuse what A1111 silently ignores, such as an unknown sampler, style or LoRA, instead of adding a warning to the response.', verbose_name='strict')),
                ('nsfw_policy', models.CharField(choices=[('off', 'not checked'), ('flag', 'flagged'), ('blur', 'blurred'), ('blank', 'replaced by a blank image'), ('refuse', 'refused: the job fails')], default='off', help_text='Minimum measure; a request may choose a stricter one. Requires an NSFW detector in the registry.', max_length=8, verbose_name='NSFW policy')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created')),
            ],
            options={
                'verbose_name': 'business source',
                'verbose_name_plural': 'business sources',
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='RateBucket',
            fields=[
                ('owner', models.CharField(max_length=32, primary_key=True, serialize=False)),
                ('full_at', models.FloatField()),
            ],
        ),
        migrations.CreateModel(
            name='CallbackSecret',
            fields=[
                ('source', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='callback_secret', serialize=False, to='access.businesssource', verbose_name='business source')),
                ('secret', access.encryption.EncryptedTextField(editable=False, verbose_name='secret')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='created')),
            ],
            options={
                'verbose_name': 'callback secret',
                'verbose_name_plural': 'callback secrets',
            },
        ),
        migrations.CreateModel(
            name='AccessKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('requests_per_second', models.FloatField(blank=True, help_text='All requests count, including those that query the state of a job.', null=True, validators=[django.core.validators.MinValueValidator(0.001), django.core.validators.MaxValueValidator(10000)], verbose_name='requests per second')),
                ('burst', models.PositiveIntegerField(blank=True, help_text='Burst size. Empty: same as the rate per second.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(100000)], verbose_name='burst')),
                ('images_per_day', models.PositiveIntegerField(blank=True, null=True, verbose_name='images per day')),
                ('images_per_month', models.PositiveIntegerField(blank=True, null=True, verbose_name='images per month')),
                ('cost_per_day', models.DecimalField(blank=True, decimal_places=6, max_digits=18, null=True, validators=[django.core.validators.MinValueValidator(0)], verbose_name='cost units per day')),
                ('cost_per_month', models.DecimalField(blank=True, decimal_places=6, max_digits=18, null=True, validators=[django.core.validators.MinValueValidator(0)], verbose_name='cost units per month')),
                ('total_budget', models.DecimalField(blank=True, decimal_places=6, help_text='Cost units over the whole lifetime. It is not renewed: raise it to add budget.', max_digits=18, null=True, validators=[django.core.validators.MinValueValidator(0)], verbose_name='total budget')),
                ('dialects', models.JSONField(blank=True, default=list, help_text='Names of the permitted dialects. Empty: all.', verbose_name='dialects')),
                ('networks', models.JSONField(blank=True, default=list, help_text='Networks of permitted callers: ["10.0.0.0/8"]. Empty: all.', verbose_name='networks')),
                ('expires_at', models.DateTimeField(blank=True, null=True, verbose_name='expires')),
                ('max_concurrent_jobs', models.PositiveIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(1)], verbose_name='concurrent jobs')),
                ('max_queued_jobs', models.PositiveIntegerField(blank=True, null=True, verbose_name='queued jobs')),
                ('max_width', models.PositiveIntegerField(blank=True, null=True, verbose_name='max width')),
                ('max_height', models.PositiveIntegerField(blank=True, null=True, verbose_name='max height')),
                ('max_steps', models.PositiveIntegerField(blank=True, null=True, verbose_name='max steps')),
                ('max_images', models.PositiveIntegerField(blank=True, null=True, verbose_name='max images per job')),
                ('allowed_models', models.JSONField(blank=True, default=list, help_text='Permitted model files as kind:name: ["checkpoint:shapes", "lora:night*"]. Of a listed kind, only the listed files may be used; "lora:" alone allows none. Kinds that are not listed are unrestricted.', verbose_name='model files')),
                ('key_id', models.CharField(editable=False, max_length=64, unique=True, verbose_name='key id')),
                ('secret', access.encryption.EncryptedTextField(editable=False, verbose_name='secret')),
                ('session_token', access.encryption.EncryptedTextField(editable=False, null=True, verbose_name='session token')),
                ('note', models.CharField(blank=True, max_length=200, verbose_name='note')),
                ('enabled', models.BooleanField(default=True, verbose_name='enabled')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created')),
                ('last_used_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='last used')),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='keys', to='access.businesssource', verbose_name='business source')),
            ],
            options={
                'verbose_name': 'access key',
                'verbose_name_plural': 'access keys',
                'ordering': ['source__name', 'key_id'],
            },
        ),
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to='access.businesssource', verbose_name='business source')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to=settings.AUTH_USER_MODEL, verbose_name='user')),
            ],
            options={
                'verbose_name': 'membership',
                'verbose_name_plural': 'memberships',
                'constraints': [models.UniqueConstraint(fields=('user', 'source'), name='one_membership_per_user_and_source')],
            },
        ),
        migrations.CreateModel(
            name='Posting',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key_id', models.BigIntegerField(editable=False, null=True, verbose_name='access key')),
                ('job_id', models.UUIDField(verbose_name='job')),
                ('kind', models.CharField(choices=[('reserve', 'reserved'), ('release', 'released'), ('settle', 'settled')], max_length=8, verbose_name='kind')),
                ('amount', models.DecimalField(decimal_places=6, default=Decimal('0'), max_digits=18, verbose_name='amount')),
                ('images', models.IntegerField(default=0, verbose_name='images')),
                ('day', models.DateField(verbose_name='day')),
                ('dialect', models.CharField(blank=True, max_length=32, verbose_name='dialect')),
                ('model', models.CharField(blank=True, max_length=200, verbose_name='model')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created')),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='postings', to='access.businesssource', verbose_name='business source')),
            ],
            options={
                'verbose_name': 'posting',
                'verbose_name_plural': 'postings',
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['source', 'kind', 'day'], name='posting_by_day')],
                'constraints': [models.UniqueConstraint(fields=('job_id', 'kind'), name='one_posting_of_a_kind_per_job')],
            },
        ),
    ]
