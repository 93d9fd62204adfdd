from django.db import migrations


class Migration(migrations.Migration):
    """The words-only presets of A1111 are prompt styles, so that "style preset" is free for whole pipelines."""

    dependencies = [
        ('access', '0003_source_to_the_outside'),
        ('models_registry', '0004_preprocessors'),
    ]

    operations = [
        migrations.RenameModel(old_name='StylePreset', new_name='PromptStyle'),
        migrations.AlterModelOptions(
            name='promptstyle',
            options={'ordering': ['name'], 'verbose_name': 'prompt style', 'verbose_name_plural': 'prompt styles'},
        ),
    ]
