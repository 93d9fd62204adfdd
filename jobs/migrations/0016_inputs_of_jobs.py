from collections.abc import Iterator
from typing import Any

from django.db import migrations


def hashes(value: Any) -> Iterator[str]:
    """Of input pictures, wherever in the JSON they are named."""
    if isinstance(value, dict):
        if isinstance(value.get("sha256"), str):
            yield value["sha256"]
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from hashes(part)


def link(apps: Any, schema_editor: Any) -> None:
    """Jobs that are there already to the pictures that they need."""
    Job, JobInput = apps.get_model("jobs", "Job"), apps.get_model("jobs", "JobInput")
    known = set(apps.get_model("jobs", "InputPicture").objects.values_list("pk", flat=True))
    if not known:
        return
    links: list[Any] = []
    for job_id, request in Job.objects.order_by().values_list("pk", "request").iterator(chunk_size=1000):
        links += [JobInput(job_id=job_id, sha256=sha256) for sha256 in sorted(known & set(hashes(request)))]
        if len(links) >= 1000:
            JobInput.objects.bulk_create(links)
            links = []
    JobInput.objects.bulk_create(links)


class Migration(migrations.Migration):
    dependencies = [("jobs", "0015_retention")]
    operations = [migrations.RunPython(link, migrations.RunPython.noop)]
