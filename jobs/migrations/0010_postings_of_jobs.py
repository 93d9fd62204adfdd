"""Postings from before they told their key, day, dialect, model and pictures learn them from their jobs."""

from django.db import migrations
from django.db.models import IntegerField, OuterRef, Subquery
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce, TruncDate


def tell(apps, schema_editor):
    Posting = apps.get_model("access", "Posting")
    jobs = apps.get_model("jobs", "Job").objects.filter(pk=OuterRef("job_id"))
    Posting.objects.update(day=TruncDate("created_at"))
    known = Posting.objects.filter(job_id__in=apps.get_model("jobs", "Job").objects.values("pk"))
    asked = Cast(KT("request__num_images"), IntegerField())
    known.update(
        day=Subquery(jobs.values(wanted=TruncDate("created_at"))[:1]),
        key_id=Subquery(jobs.values("key_id")[:1]),
        dialect=Subquery(jobs.values("dialect")[:1]),
        model=Coalesce(Subquery(jobs.values(wanted=KT("request__checkpoint"))[:1]), "model"),
    )
    known.filter(kind="settle").update(images=Subquery(jobs.values("images_done")[:1]))
    known.filter(kind="reserve").update(images=Subquery(jobs.values(wanted=asked)[:1]))
    known.filter(kind="release").update(images=Subquery(jobs.values(wanted=-asked)[:1]))


class Migration(migrations.Migration):

    dependencies = [
        ("access", "0008_limits_and_accounts"),
        ("jobs", "0009_workflows"),
    ]

    operations = [migrations.RunPython(tell, migrations.RunPython.noop, elidable=True)]
