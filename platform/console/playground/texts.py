"""Texts of the playground's script, in the language of the user. Words in braces are replaced by the script."""

from __future__ import annotations

from django.utils.translation import gettext as _

from models_registry.models import Family


def texts() -> dict[str, str]:
    return {
        "cost": _("Cost: {cost} units"),
        "starts": _("starts in about {seconds} s"),
        "jobs": _("{count} jobs"),
        "queued": _("Queued"),
        "running": _("Step {step} of {steps}"),
        "succeeded": _("Done"),
        "failed": _("Failed: {message}"),
        "cancelled": _("Cancelled"),
        "expired": _("Expired"),
        "unreachable": _("The server does not respond; retrying."),
        "signed_out": _("You are signed out. Reload the page."),
        "unreadable": _("This file is not an image that the browser can read."),
        "choose_image": _("Choose an image first."),
        "paint_mask": _("Paint over the part of the image that is to be generated anew."),
        "no_margins": _("Add pixels at one side at least."),
        "outpaint_size": _("Size of the result: {width} × {height}"),
        "download": _("Download"),
        "parameters": _("Parameters"),
        "use_seed": _("Seed {seed}"),
        "use_image": _("Use as input"),
        "control_image": _("A ControlNet unit needs an image."),
        "control_model": _("Choose a ControlNet for each unit, or remove the unit."),
        "preprocessing": _("Preprocessing …"),
        "map_of": _("Control map of {module}"),
        "too_many": _("These are {count} jobs; at most {most} are possible at once."),
        "empty_axis": _("Enter the values of the axis, separated by commas."),
        "bad_axis": _("{value} is not a value of this axis."),
        "not_in_prompt": _("The prompt does not contain {value}, the first value of the axis."),
        "no_loras": _("Add a LoRA, whose weight is to vary."),
        "no_strength": _("Strength needs an init image."),
        "applied": _("The parameters are in the form."),
        "not_applied": _("The parameters are in the form, except: {names}"),
        "restored": _("Form and images of an earlier submission."),
        "image_gone": _("The input image of this submission is no longer in this browser."),
        "copied": _("Copied."),
        "lacking": _("{api} cannot express: {fields}. The code leaves them out."),
        "no_code": _("{api} cannot express this request. {reason}"),
        **{f"axis_{name}": label for name, label in axes().items()},
        **{f"family_{family}": str(family.label) for family in Family},
    }


def axes() -> dict[str, str]:
    """Labels of the parameters that an X/Y grid can vary."""
    return {
        "num_inference_steps": _("Steps"),
        "guidance_scale": "CFG",
        "seed": _("Seed"),
        "sampler": _("Sampler"),
        "scheduler": _("Scheduler"),
        "checkpoint": _("Checkpoint"),
        "strength": _("Strength"),
        "lora_weight": _("LoRA weight"),
        "clip_skip": "CLIP skip",
        "prompt": _("Words of the prompt"),
    }
