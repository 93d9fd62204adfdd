"""Catalog of the preprocessor modules of A1111's ControlNet extension: label, sliders, and whether it is supported.

Implementations are in gpu_runner.controlnet.preprocessors. The order is the extension's: "none", then by priority and
label, both descending.
"""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_RESOLUTION = 512


@dataclass(frozen=True)
class ModuleSettings:
    """Slider values of a module, each within its range: ``a`` is threshold_a, ``b`` threshold_b."""

    resolution: int
    a: float
    b: float


@dataclass(frozen=True)
class Slider:
    """Name, default value and range of a slider."""

    name: str
    value: float
    minimum: float
    maximum: float
    step: float = 0.01

    def read(self, value: float | None) -> float:
        """Return ``value``, or the default if it is None or out of range."""
        return self.value if value is None or not self.minimum <= value <= self.maximum else value


RESOLUTION = Slider("Resolution", DEFAULT_RESOLUTION, 64, 2048, 8)


@dataclass(frozen=True)
class Module:
    """A preprocessor module. ``weights`` is empty without a network; ``refused`` says why a module is not supported."""

    name: str
    label: str = ""
    types: tuple[str, ...] = ()
    sliders: tuple[Slider, ...] = ()  # threshold_a, threshold_b
    resolution: Slider | None = RESOLUTION
    priority: int = 0
    weights: str = ""  # registry name of the network's file
    model_free: bool = False  # works without a ControlNet
    refused: str = ""

    @property
    def finds_poses(self) -> bool:
        """Whether the module also returns the key points that it draws."""
        return self.name.startswith("openpose")

    @property
    def title(self) -> str:
        """Label in the extension's UI."""
        return self.label or self.name

    @property
    def all_sliders(self) -> tuple[Slider, ...]:
        return (*([self.resolution] if self.resolution else []), *self.sliders)

    def settings(self, resolution: int | None, a: float | None, b: float | None) -> ModuleSettings:
        """Return the slider values; defaults replace values that are None or out of range."""
        wanted = (self.resolution or RESOLUTION).read(resolution)
        values = [slider.read(value) for slider, value in zip(self.sliders, (a, b), strict=False)]
        first, second, *_ = [*values, 0.0, 0.0]
        return ModuleSettings(int(wanted), first, second)


NO_NETWORK = "its network is not supported"
NO_IMAGE_ENCODER = "image encoders (CLIP vision, IP-Adapter, InstantID) are not supported"
NO_FACE_MODELS = "the face models of facexlib are not supported"
FIDELITY = Slider('Style Fidelity (only for "Balanced" mode)', 0.5, 0, 1)
GAMMA = Slider("Gamma Correction", 1, 0.1, 2, 0.001)
VARIATION = Slider("Variation", 8, 3, 32, 1)
SAFE_STEPS = Slider("Safe Steps", 2, 0, 10, 1)
REMOVALS = (Slider("Remove Near %", 0, 0, 100, 0.1), Slider("Remove Background %", 0, 0, 100, 0.1))
SKETCHES = ("Scribble", "SparseCtrl")
SOFT = ("SoftEdge",)
LINES = ("Lineart",)
HED = "ControlNetHED"
HOLISTIC = "mediapipe_holistic"
# Commands that install the files of preprocessors, by registry name.
INSTALL_COMMANDS = {HOLISTIC: "manage.py install_pose_models"}


def _unsupported(name: str, label: str, types: tuple[str, ...], *sliders: Slider, why: str = NO_NETWORK,
             priority: int = 0) -> Module:  # fmt: skip
    return Module(name, label, types, sliders, priority=priority, refused=why)


_ALL = (
    Module("none", types=("InstructP2P",), resolution=None, priority=10),
    Module(
        "canny",
        types=("Canny",),
        sliders=(Slider("Low Threshold", 100, 1, 255, 1), Slider("High Threshold", 200, 1, 255, 1)),
        priority=100,
    ),
    Module("invert", "invert (from white bg & black line)", ("Canny", "Lineart", "Scribble", "MLSD"),
           resolution=None, priority=20),
    Module("blur_gaussian", types=("Tile",), sliders=(Slider("Sigma", 9, 0.01, 64),)),
    Module("shuffle", types=("Shuffle",), resolution=None, priority=100),
    Module("threshold", sliders=(Slider("Binarization Threshold", 127, 0, 255, 1),)),
    Module("scribble_xdog", types=SKETCHES, sliders=(Slider("XDoG Threshold", 32, 1, 64, 1),)),
    Module("scribble_hed", types=SKETCHES, weights=HED),
    _unsupported("pidinet_scribble", "scribble_pidinet", SKETCHES, priority=100),
    Module("hed", "softedge_hed", SOFT, weights=HED),
    Module("hed_safe", "softedge_hedsafe", SOFT, weights=HED),
    _unsupported("pidinet", "softedge_pidinet", SOFT, priority=100),
    _unsupported("pidinet_safe", "softedge_pidisafe", SOFT),
    _unsupported("softedge_teed", "", SOFT, SAFE_STEPS),
    Module("softedge_anyline", types=SOFT, sliders=(SAFE_STEPS,),
           resolution=Slider("Resolution", 1280, 64, 2048, 8), refused=NO_NETWORK),
    Module("lineart", "lineart_realistic", LINES, weights="sk_model"),
    Module("lineart_coarse", types=LINES, weights="sk_model2"),
    Module("lineart_standard", "lineart_standard (from white bg & black line)", LINES, priority=100),
    _unsupported("lineart_anime", "", LINES),
    _unsupported("lineart_anime_denoise", "", LINES),
    _unsupported("mlsd", "", ("MLSD",), Slider("MLSD Value Threshold", 0.1, 0.01, 2),
             Slider("MLSD Distance Threshold", 0.1, 0.01, 20), priority=100),
    _unsupported("depth", "depth_midas", ("Depth",), priority=100),
    _unsupported("depth_leres", "", ("Depth",), *REMOVALS),
    _unsupported("depth_leres++", "", ("Depth",), *REMOVALS),
    _unsupported("depth_zoe", "", ("Depth",)),
    Module("depth_anything", types=("Depth",), weights="depth_anything"),
    Module("depth_anything_v2", types=("Depth",), weights="depth_anything_v2"),
    _unsupported("depth_hand_refiner", "", ("Depth",)),
    _unsupported("normal_bae", "", ("NormalMap",), priority=100),
    _unsupported("normal_map", "normal_midas", ("NormalMap",), Slider("Normal Background Threshold", 0.4, 0, 1)),
    _unsupported("normal_dsine", "", ("NormalMap",), Slider("Fov", 60, 0, 360), Slider("Iterations", 5, 1, 20, 1)),
    Module("openpose", types=("OpenPose",), weights=HOLISTIC),
    Module("openpose_face", types=("OpenPose",), weights=HOLISTIC),
    Module("openpose_faceonly", types=("OpenPose",), weights=HOLISTIC),
    Module("openpose_full", types=("OpenPose",), priority=100, weights=HOLISTIC),
    Module("openpose_hand", types=("OpenPose",), weights=HOLISTIC),
    _unsupported("dw_openpose_full", "", ("OpenPose",)),
    _unsupported("animal_openpose", "", ("OpenPose",)),
    _unsupported("densepose", "densepose (pruple bg & purple torso)", ("OpenPose",)),
    _unsupported("densepose_parula", "densepose_parula (black bg & blue torso)", ("OpenPose",)),
    _unsupported("segmentation", "seg_ufade20k", ("Segmentation",)),
    _unsupported("oneformer_ade20k", "seg_ofade20k", ("Segmentation",), priority=100),
    _unsupported("oneformer_coco", "seg_ofcoco", ("Segmentation",)),
    _unsupported("anime_face_segment", "seg_anime_face", ("Segmentation",)),
    _unsupported("mobile_sam", "", ("Segmentation",)),
    Module("inpaint", "inpaint_global_harmonious", ("Inpaint",), resolution=None),
    Module("inpaint_only", types=("Inpaint",), resolution=None, priority=100),
    Module("inpaint_only+lama", types=("Inpaint",), resolution=None, refused=NO_NETWORK),
    Module("tile_resample", types=("Tile",), sliders=(Slider("Down Sampling Rate", 1, 1, 8),),
           resolution=None, priority=100),
    Module("tile_colorfix", types=("Tile",), sliders=(VARIATION,), resolution=None),
    Module("tile_colorfix+sharp", types=("Tile",), sliders=(VARIATION, Slider("Sharpness", 1, 0, 2)),
           resolution=None),
    Module("reference_only", types=("Reference",), sliders=(FIDELITY,), resolution=None, priority=100, model_free=True),
    Module("reference_adain", types=("Reference",), sliders=(FIDELITY,), resolution=None, model_free=True),
    Module("reference_adain+attn", types=("Reference",), sliders=(FIDELITY,), resolution=None, model_free=True),
    Module("recolor_luminance", types=("Recolor",), sliders=(GAMMA,), resolution=None, priority=100),
    Module("recolor_intensity", types=("Recolor",), sliders=(GAMMA,), resolution=None),
    Module("color", "t2ia_color_grid", ("T2I-Adapter",)),
    _unsupported("pidinet_sketch", "t2ia_sketch_pidi", ("T2I-Adapter",), priority=100),
    _unsupported("clip_vision", "t2ia_style_clipvision", ("T2I-Adapter",), why=NO_IMAGE_ENCODER),
    _unsupported("ip-adapter-auto", "", ("IP-Adapter",), why=NO_IMAGE_ENCODER, priority=1000),
    _unsupported("ip-adapter_clip_sd15", "ip-adapter_clip_h", ("IP-Adapter",), why=NO_IMAGE_ENCODER),
    _unsupported("ip-adapter_clip_sdxl", "ip-adapter_clip_g", ("IP-Adapter",), why=NO_IMAGE_ENCODER),
    _unsupported("ip-adapter_clip_sdxl_plus_vith", "", ("IP-Adapter",), why=NO_IMAGE_ENCODER),
    _unsupported("ip-adapter_face_id", "", ("IP-Adapter",), why=NO_IMAGE_ENCODER),
    _unsupported("ip-adapter_face_id_plus", "", ("IP-Adapter",), why=NO_IMAGE_ENCODER),
    _unsupported("ip-adapter_pulid", "", ("IP-Adapter",), why=NO_IMAGE_ENCODER),
    _unsupported("instant_id_face_embedding", "", ("Instant-ID",), why=NO_IMAGE_ENCODER, priority=100),
    _unsupported("instant_id_face_keypoints", "", ("Instant-ID",), why=NO_IMAGE_ENCODER),
    Module("revision_clipvision", types=("Revision",), sliders=(Slider("Noise Augmentation", 0, 0, 1),),
           resolution=None, priority=100, model_free=True, refused=NO_IMAGE_ENCODER),
    Module("revision_ignore_prompt", types=("Revision",), sliders=(Slider("Noise Augmentation", 0, 0, 1),),
           resolution=None, model_free=True, refused=NO_IMAGE_ENCODER),
    Module("mediapipe_face", sliders=(Slider("Max Faces", 1, 1, 10, 1), Slider("Min Face Confidence", 0.5, 0.01, 1)),
           weights=HOLISTIC),
    _unsupported("facexlib", "", (), why=NO_FACE_MODELS),
)  # fmt: skip

_ORDER = sorted(_ALL, key=lambda module: f"{module.priority:05}{module.title}", reverse=True)
MODULES: dict[str, Module] = {
    module.name: module for module in sorted(_ORDER, key=lambda module: module.name != "none")
}
_BY_LABEL = {module.title: module for module in _ALL}


def find(name: str) -> Module | None:
    """Return the module with this name or label, or None."""
    return MODULES.get(name) or _BY_LABEL.get(name)


def weights_of(name: str) -> str:
    """Return the registry name of the module's network; empty for modules without one and for unknown modules."""
    module = find(name)
    return module.weights if module else ""
