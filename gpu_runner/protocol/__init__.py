"""Protocol between the platform and a runner: requests, events, catalogs. Imports neither torch nor Django."""

from .environment import Environment
from .findings import Finding, ImageFindings
from .generation_request import Emphasis, GenerationRequest
from .messages import (
    EVENT,
    PROTOCOL_VERSION,
    Accepted,
    CancelMode,
    CancelRequest,
    ControlMap,
    Done,
    ErrorCode,
    Event,
    Failed,
    FileList,
    Findings,
    Image,
    Inventory,
    LoadedModel,
    ModelFile,
    Progress,
    RunnerStatus,
    RunRequest,
    ServerCredentials,
    ServerLoad,
    TrainedFile,
    Video,
    WorkflowProblems,
)
from .request_parts.analysis import Analysis
from .request_parts.outputs import NSFW_POLICIES, NsfwPolicy
from .request_parts.passes import Hires, Inpaint
from .request_parts.training import LoraTraining, TrainingImage
from .request_parts.upscaling import Upscale
from .request_parts.values import MAX_SEED, MIN_SEED, InputImage, ModelName, StrictModel
from .workflows.template import Workflow

__all__ = [
    "EVENT",
    "MAX_SEED",
    "MIN_SEED",
    "NSFW_POLICIES",
    "PROTOCOL_VERSION",
    "Accepted",
    "Analysis",
    "CancelMode",
    "CancelRequest",
    "ControlMap",
    "Done",
    "Emphasis",
    "Environment",
    "ErrorCode",
    "Event",
    "Failed",
    "FileList",
    "Finding",
    "Findings",
    "GenerationRequest",
    "Hires",
    "Image",
    "ImageFindings",
    "Inpaint",
    "InputImage",
    "Inventory",
    "LoadedModel",
    "LoraTraining",
    "ModelFile",
    "ModelName",
    "NsfwPolicy",
    "Progress",
    "RunRequest",
    "RunnerStatus",
    "ServerCredentials",
    "ServerLoad",
    "StrictModel",
    "TrainedFile",
    "TrainingImage",
    "Upscale",
    "Video",
    "Workflow",
    "WorkflowProblems",
]
