"""Models of the registry: files, prompt styles, style presets, workflow templates and scans."""

from models_registry.facts.card import CommercialUse
from models_registry.facts.cover import ModelCover
from models_registry.models.by_kind import (
    Checkpoint,
    ControlNet,
    Detector,
    DiffusionModel,
    Embedding,
    FaceDetector,
    FaceRestorer,
    Lora,
    Matting,
    NsfwDetector,
    Preprocessor,
    Tagger,
    TextDetector,
    TextEncoder,
    Upscaler,
    Vae,
)
from models_registry.models.kinds import (
    CONTEXT_WIDTH,
    CONTROL_MASK,
    CONTROL_MODES,
    ENCODER,
    ENCODERS,
    FAMILIES,
    FOLDERS,
    INPAINTING,
    KINDS_WITH_DEFAULT,
    RESIDUALS,
    VARIANT,
    WIDTH,
    WITHOUT_TEXT,
    Family,
    Kind,
)
from models_registry.models.model_file import (
    FILLED_BY_SCANS,
    Architecture,
    ModelFile,
    ModelFileQuerySet,
    control_title,
)
from models_registry.models.prompt_styles import (
    PromptStyle,
)
from models_registry.models.scan_runs import (
    ScanRun,
)
from models_registry.models.style_presets import (
    StylePreset,
    StylePresetLora,
)
from models_registry.models.workflow_templates import (
    WorkflowRule,
    WorkflowTemplate,
)

__all__ = [
    "CONTEXT_WIDTH",
    "CONTROL_MASK",
    "CONTROL_MODES",
    "ENCODER",
    "ENCODERS",
    "FAMILIES",
    "FILLED_BY_SCANS",
    "FOLDERS",
    "INPAINTING",
    "KINDS_WITH_DEFAULT",
    "RESIDUALS",
    "VARIANT",
    "WIDTH",
    "WITHOUT_TEXT",
    "Architecture",
    "Checkpoint",
    "CommercialUse",
    "ControlNet",
    "Detector",
    "DiffusionModel",
    "Embedding",
    "FaceDetector",
    "FaceRestorer",
    "Family",
    "Kind",
    "Lora",
    "Matting",
    "ModelCover",
    "ModelFile",
    "ModelFileQuerySet",
    "NsfwDetector",
    "Preprocessor",
    "PromptStyle",
    "ScanRun",
    "StylePreset",
    "StylePresetLora",
    "Tagger",
    "TextDetector",
    "TextEncoder",
    "Upscaler",
    "Vae",
    "WorkflowRule",
    "WorkflowTemplate",
    "control_title",
]
