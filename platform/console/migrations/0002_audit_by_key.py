from django.db import migrations, models


class Migration(migrations.Migration):
    """The list is read by key: each index ends with what orders it."""

    dependencies = [("console", "0001_audit_and_figures")]
    operations = [
        migrations.RemoveIndex("auditentry", "audit_newest"),
        migrations.RemoveIndex("auditentry", "audit_by_object"),
        migrations.AlterModelOptions(
            "auditentry",
            {"ordering": ["-created_at"], "verbose_name": "audit entry", "verbose_name_plural": "audit trail"},
        ),
        migrations.RenameField("auditentry", "at", "created_at"),
        migrations.AddIndex(
            "auditentry", models.Index(fields=["-created_at", "-id"], name="audit_newest")
        ),
        migrations.AddIndex(
            "auditentry", models.Index(fields=["object_id", "-created_at", "-id"], name="audit_by_object")
        ),
        migrations.AddIndex(
            "auditentry", models.Index(fields=["username", "-created_at", "-id"], name="audit_by_user")
        ),
    ]
