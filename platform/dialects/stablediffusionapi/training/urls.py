"""Routes of trainings: paths below /api/, their views, what follows the path, and settings."""

from __future__ import annotations

from typing import Any

from dialects.stablediffusionapi.base import StableDiffusionApiView

from . import views
from .fields import FORMS

ID = "(?:/(?P<training_id>[^/]+))?"
ROUTES: list[tuple[str, type[StableDiffusionApiView], str, dict[str, Any]]] = [
    *((f"v3/{form}", views.Train, "", {"form": form}) for form in FORMS),
    ("v3/fine_tune_status", views.Status, ID, {}),
    ("v3/finetune_list", views.Listing, "", {}),
    ("v3/finetune/delete", views.Delete, ID, {}),
    ("v3/delete", views.Delete, ID, {}),  # as the vendor's OpenAPI document spells it
    ("v3/cancle_training", views.Cancel, ID, {}),
    ("v3/cancel_training", views.Cancel, ID, {}),
    *((f"sandbox/v3/{form}", views.SandboxTrain, "", {"form": form}) for form in FORMS),
    ("sandbox/v3/fine_tune_status", views.SandboxStatus, ID, {}),
]
