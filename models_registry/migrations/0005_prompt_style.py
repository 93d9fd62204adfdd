from django.db import migrations


TABLES = ("models_registry_promptstyle", "models_registry_promptstyle_allowed_sources")


def rename_indexes(apps, schema_editor) -> None:
    """PostgreSQL leaves a renamed table's indexes their names, which the next migration's table of the old name needs."""
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname FROM pg_indexes WHERE tablename = ANY(%s)", [list(TABLES)])
        names = [name for (name,) in cursor.fetchall()]
    for name in names:
        if "_stylepre" in name:
            renamed = name.replace("_stylepre", "_promptst", 1)
            schema_editor.execute(f"ALTER INDEX {quote(name)} RENAME TO {quote(renamed)}")


class Migration(migrations.Migration):
    """The words-only presets of A1111 are prompt styles, so that "style preset" is free for whole pipelines."""

    dependencies = [
        ('access', '0003_source_to_the_outside'),
        ('models_registry', '0004_preprocessors'),
    ]

    operations = [
        migrations.RenameModel(old_name='StylePreset', new_name='PromptStyle'),
        migrations.RunPython(rename_indexes, migrations.RunPython.noop),
        migrations.AlterModelOptions(
            name='promptstyle',
            options={'ordering': ['name'], 'verbose_name': 'prompt style', 'verbose_name_plural': 'prompt styles'},
        ),
    ]
