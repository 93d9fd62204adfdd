import access.encryption
import django.core.validators
import django.db.models.deletion
from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='BusinessSource',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='Identifies the source in requests. Letters, digits, dot, dash and underscore.', max_length=64, unique=True, validators=[django.core.validators.RegexValidator('^[A-Za-z0-9][A-Za-z0-9_.-]*$')], verbose_name='name')),
                ('title', models.CharField(blank=True, max_length=200, verbose_name='title')),
                ('enabled', models.BooleanField(default=True, verbose_name='enabled')),
                ('weight', models.FloatField(default=1.0, help_text='Share of runner time relative to other sources with queued jobs.', validators=[django.core.validators.MinValueValidator(0.01), django.core.validators.MaxValueValidator(1000)], verbose_name='weight')),
                ('max_concurrent_jobs', models.PositiveIntegerField(default=8, validators=[django.core.validators.MinValueValidator(1)], verbose_name='concurrent jobs')),
                ('max_queued_jobs', models.PositiveIntegerField(default=200, verbose_name='queued jobs')),
                ('max_width', models.PositiveIntegerField(default=2048, validators=[django.core.validators.MaxValueValidator(4096)], verbose_name='max width')),
                ('max_height', models.PositiveIntegerField(default=2048, validators=[django.core.validators.MaxValueValidator(4096)], verbose_name='max height')),
                ('max_steps', models.PositiveIntegerField(default=150, validators=[django.core.validators.MaxValueValidator(500)], verbose_name='max steps')),
                ('max_images', models.PositiveIntegerField(default=16, validators=[django.core.validators.MaxValueValidator(256)], verbose_name='max images per job')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created')),
            ],
            options={
                'verbose_name': 'business source',
                'verbose_name_plural': 'business sources',
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='AccessKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key_id', models.CharField(editable=False, max_length=64, unique=True, verbose_name='key id')),
                ('secret', access.encryption.EncryptedTextField(editable=False, verbose_name='secret')),
                ('note', models.CharField(blank=True, max_length=200, verbose_name='note')),
                ('enabled', models.BooleanField(default=True, verbose_name='enabled')),
                ('expires_at', models.DateTimeField(blank=True, null=True, verbose_name='expires')),
                ('dialects', models.JSONField(blank=True, default=list, help_text='Names of the permitted dialects. Empty: all.', verbose_name='dialects')),
                ('networks', models.JSONField(blank=True, default=list, help_text='Networks it may call from, as 10.0.0.0/8; empty: all.', verbose_name='networks')),
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
            name='Posting',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('job_id', models.UUIDField(verbose_name='job')),
                ('kind', models.CharField(choices=[('reserve', 'reserved'), ('release', 'released'), ('settle', 'settled')], max_length=8, verbose_name='kind')),
                ('amount', models.DecimalField(decimal_places=6, default=Decimal('0'), max_digits=18, verbose_name='amount')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created')),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='postings', to='access.businesssource', verbose_name='business source')),
            ],
            options={
                'verbose_name': 'posting',
                'verbose_name_plural': 'postings',
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['source', 'kind', 'created_at'], name='posting_by_source')],
                'constraints': [models.UniqueConstraint(fields=('job_id', 'kind'), name='one_posting_of_a_kind_per_job')],
            },
        ),
    ]
