import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Rename Upload to UploadedImage and its field picture to image."""

    dependencies = [
        ("native", "0001_initial"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="upload", name="one_upload_per_source"),
        migrations.RenameModel(old_name="Upload", new_name="UploadedImage"),
        migrations.RenameField(model_name="uploadedimage", old_name="picture", new_name="image"),
        migrations.AddConstraint(
            model_name="uploadedimage",
            constraint=models.UniqueConstraint(fields=("source", "image"), name="one_upload_per_source"),
        ),
        migrations.AlterModelOptions(
            name="uploadedimage",
            options={"verbose_name": "uploaded image", "verbose_name_plural": "uploaded images"},
        ),
        migrations.AlterField(
            model_name="uploadedimage",
            name="image",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="jobs.inputpicture",
                verbose_name="input image",
            ),
        ),
    ]
