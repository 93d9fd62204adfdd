"""Kinds, families and folders of model files, and the keys of their metadata."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Kind(models.TextChoices):
    CHECKPOINT = "checkpoint", _("checkpoint")
    LORA = "lora", _("LoRA")
    VAE = "vae", _("VAE")
    CONTROLNET = "controlnet", _("ControlNet")
    EMBEDDING = "embedding", _("embedding")
    UPSCALER = "upscaler", _("upscaler")
    PREPROCESSOR = "preprocessor", _("preprocessor")
    MATTING = "matting", _("matting model")
    NSFW = "nsfw", _("NSFW detector")
    FACE_DETECTOR = "face_detector", _("face detector")
    FACE_RESTORER = "face_restorer", _("face restorer")
    TAGGER = "tagger", _("tagger")
    TEXT_DETECTOR = "text_detector", _("text detector")
    DETECTOR = "detector", _("object detector")
    DIFFUSION_MODEL = "diffusion_model", _("diffusion model")
    TEXT_ENCODER = "text_encoder", _("text encoder")
    UNKNOWN = "unknown", _("unknown")


class Family(models.TextChoices):
    SD15 = "sd15", "Stable Diffusion 1.x"
    SD2 = "sd2", "Stable Diffusion 2.x"
    SDXL = "sdxl", "Stable Diffusion XL"
    SD3 = "sd3", "Stable Diffusion 3.x"
    Z_IMAGE = "z_image", "Z-Image"
    FLUX1 = "flux1", "FLUX.1"
    CHROMA = "chroma", "Chroma"
    FLUX2 = "flux2", "FLUX.2"
    QWEN_IMAGE = "qwen_image", "Qwen-Image"
    UNKNOWN = "unknown", _("unknown")


class Prediction(models.TextChoices):
    EPSILON = "epsilon", _("noise (epsilon)")
    VELOCITY = "v_prediction", _("velocity (v-prediction)")


FOLDERS: dict[str, str] = {
    Kind.CHECKPOINT: "checkpoints",
    Kind.LORA: "loras",
    Kind.VAE: "vae",
    Kind.CONTROLNET: "controlnet",
    Kind.EMBEDDING: "embeddings",
    Kind.UPSCALER: "upscalers",
    Kind.PREPROCESSOR: "preprocessors",
    Kind.MATTING: "matting",
    Kind.NSFW: "nsfw",
    Kind.FACE_DETECTOR: "face_detection",
    Kind.FACE_RESTORER: "face_restoration",
    Kind.TEXT_DETECTOR: "text_detection",
    Kind.TAGGER: "taggers",
    Kind.DETECTOR: "detectors",
    Kind.DIFFUSION_MODEL: "diffusion_models",
    Kind.TEXT_ENCODER: "text_encoders",
}


# Kinds of which a request without a name uses the default file; the default VAE is used for checkpoints without one
# only. A request without a LoRA, a ControlNet or an embedding uses none.
KINDS_WITH_DEFAULT = frozenset(
    {
        Kind.CHECKPOINT,
        Kind.VAE,
        Kind.UPSCALER,
        Kind.MATTING,
        Kind.NSFW,
        Kind.FACE_DETECTOR,
        Kind.FACE_RESTORER,
        Kind.TEXT_DETECTOR,
        Kind.TAGGER,
    }
)

INPAINTING = "atelier.inpainting"  # key of ``metadata``
RESIDUALS = "atelier.residuals"  # the same: number of outputs of a ControlNet
CONTROL_MODES = "atelier.control_modes"  # the same: kinds of images that a union ControlNet tells apart
CONTROL_MASK = "atelier.control_mask"  # the same: needed or optional, for a ControlNet that reads a mask
FAMILIES = "atelier.families"  # the same: families that a VAE fits, separated by spaces
ENCODER, ENCODERS = (
    "atelier.encoder",
    "atelier.encoders",
)  # the same: kind of a text encoder; those in a checkpoint
WIDTH = "atelier.width"  # the same: width of the vectors of an embedding or text encoder
CONTEXT_WIDTH = (
    "atelier.context_width"  # the same: width of the text encoder's states that a checkpoint reads
)
WITHOUT_TEXT = "atelier.without_text"  # the same: set for a UNet without its text encoders
VARIANT = "atelier.variant"  # the same: variant of a family, such as schnell
