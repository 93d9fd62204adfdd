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
                ('requests_per_second', models.FloatField(blank=True, help_text="Of every kind, also those that only ask for a job's state.", null=True, validators=[django.core.validators.MinValueValidator(0.001), django.core.validators.MaxValueValidator(10000)], verbose_name='requests per second')),
                ('burst', models.PositiveIntegerField(blank=True, help_text='So many requests may come at once after a pause. Empty: as many as in a second.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(100000)], verbose_name='burst')),
                ('images_per_day', models.PositiveIntegerField(blank=True, null=True, verbose_name='pictures a day')),
                ('images_per_month', models.PositiveIntegerField(blank=True, null=True, verbose_name='pictures a month')),
                ('cost_per_day', models.DecimalField(blank=True, decimal_places=6, max_digits=18, null=True, validators=[django.core.validators.MinValueValidator(0)], verbose_name='cost units a day')),
                ('cost_per_month', models.DecimalField(blank=True, decimal_places=6, max_digits=18, null=True, validators=[django.core.validators.MinValueValidator(0)], verbose_name='cost units a month')),
                ('total_budget', models.DecimalField(blank=True, decimal_places=6, help_text='Cost units from the beginning. It does not renew itself: raise it to add to it.', max_digits=18, null=True, validators=[django.core.validators.MinValueValidator(0)], verbose_name='total budget')),
                ('dialects', models.JSONField(blank=True, default=list, help_text='Names of the dialects it may use; empty: all.', verbose_name='dialects')),
                ('networks', models.JSONField(blank=True, default=list, help_text='Networks it may call from: ["10.0.0.0/8"]. Empty: all.', verbose_name='networks')),
                ('expires_at', models.DateTimeField(blank=True, null=True, verbose_name='expires')),
                ('max_concurrent_jobs', models.PositiveIntegerField(default=8, validators=[django.core.validators.MinValueValidator(1)], verbose_name='concurrent jobs')),
                ('max_queued_jobs', models.PositiveIntegerField(default=200, verbose_name='queued jobs')),
                ('max_width', models.PositiveIntegerField(default=2048, validators=[django.core.validators.MaxValueValidator(4096)], verbose_name='largest width')),
                ('max_height', models.PositiveIntegerField(default=2048, validators=[django.core.validators.MaxValueValidator(4096)], verbose_name='largest height')),
                ('max_steps', models.PositiveIntegerField(default=150, validators=[django.core.validators.MaxValueValidator(500)], verbose_name='most steps')),
                ('max_images', models.PositiveIntegerField(default=16, validators=[django.core.validators.MaxValueValidator(256)], verbose_name='most pictures per job')),
                ('keep_pictures_days', models.PositiveIntegerField(blank=True, help_text="After the end of their job. Empty: as the platform's settings say, or for ever.", null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(36500)], verbose_name='pictures are kept for days')),
                ('keep_inputs_days', models.PositiveIntegerField(blank=True, help_text='After the end of the last job that used them. A job cannot be repeated without its inputs.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(36500)], verbose_name='input pictures are kept for days')),
                ('keep_jobs_days', models.PositiveIntegerField(blank=True, help_text='With everything that belongs to them. What they cost stays in the ledger.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(36500)], verbose_name='jobs are kept for days')),
                ('name', models.CharField(help_text='What requests give as their source; letters, digits, dot, dash and underscore.', max_length=64, unique=True, validators=[django.core.validators.RegexValidator('^[A-Za-z0-9][A-Za-z0-9_.-]*$')], verbose_name='name')),
                ('title', models.CharField(blank=True, max_length=200, verbose_name='title')),
                ('enabled', models.BooleanField(default=True, verbose_name='enabled')),
                ('weight', models.FloatField(default=1.0, help_text="Share of the runners' time among sources that are waiting.", validators=[django.core.validators.MinValueValidator(0.01), django.core.validators.MaxValueValidator(1000)], verbose_name='weight')),
                ('reachable', models.JSONField(blank=True, default=list, help_text='Hosts and networks outside of the public internet that its pictures may come from and its callbacks may go to: ["images.example.lan", ".example.lan", "10.1.0.0/16"].', verbose_name='reachable places')),
                ('keyless_networks', models.JSONField(blank=True, default=list, help_text='Who calls from there needs no key where a dialect has none, as the SMZDM API: ["10.1.0.0/16"]. Empty: nobody. Behind a proxy every caller has the proxy\'s address.', verbose_name='networks without a key')),
                ('comfyui_by_pipeline', models.BooleanField(default=False, help_text='While no ComfyUI runner is registered, requests for that backend are drawn by the pipeline instead of being refused.', verbose_name='pipeline for ComfyUI')),
                ('public_pictures', models.BooleanField(default=False, help_text='The URLs of its pictures do not expire. Unset, they all end as such.', verbose_name='public pictures')),
                ('strict', models.BooleanField(default=False, help_text='What A1111 would pass over in silence, as an unknown sampler, style or LoRA, is refused instead of noted among the warnings.', verbose_name='strict')),
                ('nsfw_policy', models.CharField(choices=[('off', 'not checked'), ('flag', 'marked'), ('blur', 'blurred'), ('blank', 'blanked out'), ('refuse', 'refused: the job fails')], default='off', help_text='The least that is done with them; a request may ask for more. Needs a detector in the registry.', max_length=8, verbose_name='NSFW pictures')),
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
                ('requests_per_second', models.FloatField(blank=True, help_text="Of every kind, also those that only ask for a job's state.", null=True, validators=[django.core.validators.MinValueValidator(0.001), django.core.validators.MaxValueValidator(10000)], verbose_name='requests per second')),
                ('burst', models.PositiveIntegerField(blank=True, help_text='So many requests may come at once after a pause. Empty: as many as in a second.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(100000)], verbose_name='burst')),
                ('images_per_day', models.PositiveIntegerField(blank=True, null=True, verbose_name='pictures a day')),
                ('images_per_month', models.PositiveIntegerField(blank=True, null=True, verbose_name='pictures a month')),
                ('cost_per_day', models.DecimalField(blank=True, decimal_places=6, max_digits=18, null=True, validators=[django.core.validators.MinValueValidator(0)], verbose_name='cost units a day')),
                ('cost_per_month', models.DecimalField(blank=True, decimal_places=6, max_digits=18, null=True, validators=[django.core.validators.MinValueValidator(0)], verbose_name='cost units a month')),
                ('total_budget', models.DecimalField(blank=True, decimal_places=6, help_text='Cost units from the beginning. It does not renew itself: raise it to add to it.', max_digits=18, null=True, validators=[django.core.validators.MinValueValidator(0)], verbose_name='total budget')),
                ('dialects', models.JSONField(blank=True, default=list, help_text='Names of the dialects it may use; empty: all.', verbose_name='dialects')),
                ('networks', models.JSONField(blank=True, default=list, help_text='Networks it may call from: ["10.0.0.0/8"]. Empty: all.', verbose_name='networks')),
                ('expires_at', models.DateTimeField(blank=True, null=True, verbose_name='expires')),
                ('max_concurrent_jobs', models.PositiveIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(1)], verbose_name='concurrent jobs')),
                ('max_queued_jobs', models.PositiveIntegerField(blank=True, null=True, verbose_name='queued jobs')),
                ('max_width', models.PositiveIntegerField(blank=True, null=True, verbose_name='largest width')),
                ('max_height', models.PositiveIntegerField(blank=True, null=True, verbose_name='largest height')),
                ('max_steps', models.PositiveIntegerField(blank=True, null=True, verbose_name='most steps')),
                ('max_images', models.PositiveIntegerField(blank=True, null=True, verbose_name='most pictures per job')),
                ('allowed_models', models.JSONField(blank=True, default=list, help_text='Model files it may use, by kind and name: ["checkpoint:shapes", "lora:night*"]. Of a kind that is named only those; "lora:" alone allows none. Kinds that are not named are not limited.', verbose_name='model files')),
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
                ('images', models.IntegerField(default=0, verbose_name='pictures')),
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
