"""The one table of the dialects: the reference, the example calls and the names of models of each.

Dialects register when their app is ready. Keys, API pages, the playground and the pages of jobs show what is here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from access.models import AccessKey, BusinessSource
from gpu_runner.protocol import GenerationRequest
from jobs.admission.submission import Submission
from jobs.models import Job

from .examples.call import Call
from .job_calls import JobContext, NotRepeatable, Repeated
from .reference import Context, Reference

NATIVE = "native"


@dataclass(frozen=True)
class Dialect:
    """One external API.

    ``repeat``: the call of a job of this dialect, or of any job if it ``expresses_all_jobs``; raises NotRepeatable.
    ``express``: the call of a generation request, without what the dialect lacks; raises NotExpressible.
    ``read``: what a call would submit; raises NotExpressible if the dialect refuses it.
    ``model_names``: how a request names a model file, by its kind; ``{name}`` stands for the name.
    """

    reference: Callable[[Context], Reference]
    repeat: Callable[[JobContext], Call]
    express: Callable[[GenerationRequest, Context], Call]
    read: Callable[[AccessKey, Call], Submission]
    model_names: Mapping[str, str] = field(default_factory=dict)
    expresses_all_jobs: bool = False


_dialects: dict[str, Dialect] = {}


def register(name: str, dialect: Dialect) -> None:
    _dialects[name] = dialect


def names() -> list[str]:
    """Names of the dialects, the native API first."""
    return sorted(_dialects, key=lambda name: (name != NATIVE, name))


def get(name: str) -> Dialect:
    """Raises KeyError for an unknown dialect."""
    return _dialects[name]


def allowed(source: BusinessSource, key: AccessKey | None) -> list[str]:
    """Names of the dialects that the source and its key may use."""
    return [
        name for name in names() if source.allows_dialect(name) and (key is None or key.allows_dialect(name))
    ]


def model_names(kind: str, name: str) -> dict[str, str]:
    """How requests of each dialect name a model file; dialects that cannot name this kind are left out."""
    forms = {dialect: _dialects[dialect].model_names.get(kind, "") for dialect in names()}
    return {dialect: form.replace("{name}", name) for dialect, form in forms.items() if form}


def repeats(job: Job, base_url: str) -> list[Repeated]:
    """Calls that repeat a job, the one in its own dialect first."""
    context = JobContext(job, job.generation_request, base_url)
    own = [job.dialect] if job.dialect in _dialects and job.received else []
    others = [name for name, dialect in _dialects.items() if dialect.expresses_all_jobs and name not in own]
    return [_repeated(name, context) for name in [*own, *sorted(others)]]


def _repeated(name: str, context: JobContext) -> Repeated:
    try:
        return Repeated(name, get(name).repeat(context))
    except NotRepeatable as reason:
        return Repeated(name, reason=str(reason))
