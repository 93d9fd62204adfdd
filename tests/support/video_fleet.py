"""A ComfyUI server that makes videos, connected to the platform as a runner, and the templates for it."""

from __future__ import annotations

from jobs.execution.runner_monitor import RunnerWatch
from jobs.models import Job, Runner
from jobs.scheduling.dispatcher import claim_next
from jobs.tasks import run_job
from models_registry.models import WorkflowTemplate
from models_registry.models.workflow_templates import OutputType

from .comfyui_double import Double
from .comfyui_jobs import Adapter
from .comfyui_templates import video_template

NAME = "comfyui-1"


class VideoFleet:
    """The server; RUNNER_TOKEN must be that of ``tests.support.fake_runner``. ``connect`` needs the database."""

    def __init__(self) -> None:
        self.double = Double()
        self.adapter = Adapter(self.double)

    def connect(self) -> Runner:
        Runner.objects.create(name=NAME, url=self.adapter.url)
        RunnerWatch(NAME).look()
        return Runner.objects.get(name=NAME)

    def run_next(self) -> Job:
        """Execute the next job, and return it."""
        (lease,) = claim_next(NAME, 8)
        run_job(str(lease.job_id), lease.attempt)
        return Job.objects.get(pk=lease.job_id)

    def close(self) -> None:
        self.adapter.close()
        self.double.close()


def template(saver: str, *, from_image: bool = False, **fields: object) -> WorkflowTemplate:
    """Store a template whose videos the node ``saver`` saves; the default one for its purpose."""
    graph, slots = video_template(saver, from_image=from_image)
    given = {
        "name": f"{saver} of images" if from_image else saver,
        "output": OutputType.VIDEO,
        "purpose": "img2video" if from_image else "txt2video",
        "if_asked": ["guidance_scale", "num_inference_steps"],
    }
    made = WorkflowTemplate(graph=graph, slots=slots, **(given | fields))
    made.full_clean()
    made.save()
    return made
