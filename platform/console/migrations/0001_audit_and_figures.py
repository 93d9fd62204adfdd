import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('access', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='at')),
                ('username', models.CharField(blank=True, max_length=150, verbose_name='username')),
                ('address', models.CharField(blank=True, max_length=45, verbose_name='IP address')),
                ('kind', models.CharField(choices=[('look', 'view'), ('deed', 'change'), ('sign_in', 'sign-in'), ('sign_out', 'sign-out'), ('refused', 'failed sign-in')], max_length=8, verbose_name='kind')),
                ('page', models.CharField(blank=True, max_length=100, verbose_name='page')),
                ('object_id', models.CharField(blank=True, max_length=64, verbose_name='object')),
                ('detail', models.CharField(blank=True, max_length=300, verbose_name='detail')),
                ('status', models.PositiveSmallIntegerField(default=200, verbose_name='status')),
                ('user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='user')),
            ],
            options={
                'verbose_name': 'audit entry',
                'verbose_name_plural': 'audit trail',
                'ordering': ['-created_at'],
                'indexes': [models.Index(fields=['-created_at', '-id'], name='audit_newest'), models.Index(fields=['object_id', '-created_at', '-id'], name='audit_by_object'), models.Index(fields=['username', '-created_at', '-id'], name='audit_by_user')],
            },
        ),
        migrations.CreateModel(
            name='HourlyFigures',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('hour', models.DateTimeField(verbose_name='hour')),
                ('state', models.CharField(choices=[('queued', 'queued'), ('running', 'running'), ('succeeded', 'succeeded'), ('failed', 'failed'), ('cancelled', 'cancelled'), ('expired', 'expired')], max_length=10, verbose_name='state')),
                ('error_code', models.CharField(blank=True, max_length=64, verbose_name='error code')),
                ('jobs', models.PositiveIntegerField(verbose_name='jobs')),
                ('cost', models.DecimalField(decimal_places=6, max_digits=18, verbose_name='cost')),
                ('device_seconds', models.FloatField(verbose_name='device seconds')),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='access.businesssource', verbose_name='business source')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('hour', 'source', 'state', 'error_code'), name='one_figure_per_hour')],
            },
        ),
    ]
