"""Reference of the Zhiqite API for the console's API pages."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from jobs.api_reference.dialects import Dialect
from jobs.api_reference.reference import Context, Endpoint, ErrorRow, FieldTable, Reference
from jobs.api_reference.refusals import INTERNAL, INVALID, TOO_LARGE, UNAUTHORIZED, UNAVAILABLE
from jobs.api_reference.schema_fields import rows_of

from . import examples
from .examples import ROOT
from .request import submission_v3
from .request.fields_v2 import GenerationV2
from .request.tools.catalog import TOOLS
from .training.fields import SubmitTraining
from .training.submission import OPERATION
from .training.urls import QUERY

ENDPOINTS = (
    Endpoint("POST", f"{ROOT}/sd/v2/text2image", _("Generate images of a prompt.")),
    Endpoint("POST", f"{ROOT}/sd/v2/image2image", _("Change an image, or the masked part of it.")),
    Endpoint("POST", f"{ROOT}/sd/v2/controlnet", _("Generate images that follow a control image.")),
    Endpoint("POST", f"{ROOT}/sd/v1/inpaint", _("Generate the masked part of an image anew.")),
    *(
        Endpoint("POST", f"{ROOT}/sd/{name}", _("Version 3 of the same, in camelCase."))
        for name in submission_v3.BODIES
    ),
    Endpoint("POST", f"{ROOT}/sd/v2/queryTaskInfo", _("State and images of a task of this month.")),
    Endpoint("POST", f"{ROOT}/sd/queryTaskInfo", _("State and images of any task.")),
    Endpoint("POST", f"{ROOT}/sd/v2/queryModelList", _("Checkpoints that the source may use.")),
    Endpoint("POST", f"{ROOT}/sd/v2/queryLoraList", _("LoRAs that the source may use.")),
    *(Endpoint("POST", f"{ROOT}/tool/{name}", _("Tool for an image.")) for name in TOOLS),
    Endpoint("POST", f"{ROOT}/{OPERATION}", _("Train a LoRA that only this source can use.")),
    Endpoint("POST", f"{ROOT}/{QUERY}", _("State of a training, and the names of its LoRA.")),
)

# How a request names a model file, by its kind.
MODELS = {
    "checkpoint": '"alwayson_scripts": {"sd_model_checkpoint": "{name}"}',
    "lora": "<lora:{name}:1>",
    "vae": '"alwayson_scripts": {"sd_vae": "{name}"}',
    "controlnet": '"alwayson_scripts": {"controlnet": {"args": [{"model": "{name}", …}]}}',
}


def reference(context: Context) -> Reference:
    body = {
        "prompt": "a red circle on a blue background",
        "width": 256,
        "height": 256,
        "steps": 20,
        "seed": 8,
        "alwayson_scripts": {"sd_model_checkpoint": context.checkpoint, "id_task": examples.TASK_ID},
    }
    tables = [FieldTable("v2, inpaint", rows_of(GenerationV2))]
    tables += [FieldTable(name, rows_of(model)) for name, model in submission_v3.BODIES.items()]
    tables += [FieldTable(f"tool/{name}", rows_of(tool)) for name, tool in TOOLS.items()]
    tables.append(FieldTable(OPERATION, rows_of(SubmitTraining)))
    return Reference(
        title="Zhiqite",
        summary=_("Tasks are submitted with an id that the client chooses, and queried by it."),
        authentication=_("The headers X-Request-req-accessKeyId and X-Request-req-accessKeySecret."),
        endpoints=ENDPOINTS,
        tables=tables,
        errors=(
            ErrorRow(200, "400", _("Every error: msg and data.errorMessage have the reason.")),
            ErrorRow(401, "400", UNAUTHORIZED),
            ErrorRow(400, "400", INVALID),
            ErrorRow(402, "400", _("The total budget is used up.")),
            ErrorRow(413, "400", TOO_LARGE),
            ErrorRow(429, "400", _("Too many requests, too many queued jobs, or a quota is used up.")),
            ErrorRow(500, "400", INTERNAL),
            ErrorRow(503, "400", UNAVAILABLE),
        ),
        call=examples.call(context, "sd/v2/text2image", body),
    )


DESCRIPTION = Dialect(
    reference,
    examples.repeat,
    examples.express,
    examples.read,
    MODELS,
)
