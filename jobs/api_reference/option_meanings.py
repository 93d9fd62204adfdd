"""What further fields of requests mean: options of passes, ControlNets, masks and tools."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

OPTIONS: dict[str, Promise] = {
    **dict.fromkeys(["sourceImage", "imageUrl"], _("Input image.")),
    **dict.fromkeys(["maskImage"], _("Mask of inpainting: white is generated anew.")),
    **dict.fromkeys(
        ["upscaler", "hr_upscaler", "upscaler_1", "upscaler_2", "highDefinitionRepairEnlarger"],
        _("Upscaler, by name."),
    ),
    **dict.fromkeys(
        ["weight", "conditioning_weight", "controlnet_conditioning_scale"],
        _("Weight; 1 is the normal strength."),
    ),
    **dict.fromkeys(
        ["scale", "hr_scale", "highDefinitionRepairScale", "upscaling_resize", "imageResizeScale"],
        _("Factor of the size."),
    ),
    **dict.fromkeys(
        ["hr_second_pass_steps", "highDefinitionRepairPostSteps"],
        _("Steps of the second pass; 0: as many as the first."),
    ),
    **dict.fromkeys(
        [
            "hr_resize_x",
            "hr_resize_y",
            "upscaling_resize_w",
            "upscaling_resize_h",
            "output_width",
            "output_height",
            "max_width",
            "max_height",
        ],
        _("Size of the result in pixels."),
    ),
    **dict.fromkeys(
        ["initial_noise_multiplier", "initialNoiseMultiplier", "noise_multiplier"],
        _("Factor of the noise that is added to an input image."),
    ),
    **dict.fromkeys(["processor_res"], _("Resolution of the preprocessor in pixels.")),
    **dict.fromkeys(["threshold_a", "threshold_b"], _("Parameters of the preprocessor.")),
    **dict.fromkeys(["module", "preprocessor"], _("Preprocessor that computes the control map.")),
    **dict.fromkeys(
        ["guidance_start", "guidance_end"], _("Share of the steps in which the ControlNet acts.")
    ),
    **dict.fromkeys(["control_mode"], _("Whether the prompt or the ControlNet counts more.")),
    **dict.fromkeys(
        ["pixel_perfect"], _("Choose the resolution of the preprocessor by the size of the image.")
    ),
    **dict.fromkeys(["opacity"], _("Opacity of the visible text.")),
    **dict.fromkeys(["position", "corner"], _("Corner of the visible text.")),
    **dict.fromkeys(["output_quality", "output_compression"], _("Quality of JPEG, WebP and AVIF files.")),
    **dict.fromkeys(["partial_images", "preview_every"], _("Previews of the running job.")),
    **dict.fromkeys(["user", "safety_identifier"], _("Id of your user; it is stored with the job.")),
    **dict.fromkeys(
        ["moderation", "safety_checker_type", "policy"],
        _("What happens to images that are detected as NSFW."),
    ),
    **dict.fromkeys(["embeddings", "embeddings_model"], _("Embeddings, by name.")),
    **dict.fromkeys(
        ["seed_resize_from_h", "seed_resize_from_w", "seed_resize_from_width", "seed_resize_from_height"],
        _("Size whose composition the seed is to keep."),
    ),
    **dict.fromkeys(["send_images"], _("Whether the response has the images.")),
    **dict.fromkeys(["do_not_save_samples", "do_not_save_grid"], _("No effect on what is stored.")),
    **dict.fromkeys(
        ["refiner_switch_at", "switch_at"],
        _("Share of the steps after which the second checkpoint continues."),
    ),
    **dict.fromkeys(
        ["mask_blur_x", "mask_blur_y", "blur_x", "blur_y", "feather"], _("Blur of the mask's edge in pixels.")
    ),
    **dict.fromkeys(
        ["only_masked", "padding"], _("Generate only the surroundings of the mask, at full resolution.")
    ),
    **dict.fromkeys(["matting_model"], _("Matting model, by name.")),
    **dict.fromkeys(["detector"], _("Detector, by name.")),
    **dict.fromkeys(
        ["mask_only", "maskOnly", "is_mask", "only_mask", "with_mask"],
        _("Return the mask instead of the image, or beside it."),
    ),
    **dict.fromkeys(
        ["invert", "inverse_mask", "mask_invert"], _("Exchange the inside and the outside of the mask.")
    ),
    **dict.fromkeys(["channel"], _("Name of the storage target.")),
    **dict.fromkeys(["force_task_id"], _("Id that the client chooses for the task.")),
    **dict.fromkeys(
        ["infotext"], _("Parameters in A1111's text format, which fill the fields that are not sent.")
    ),
    **dict.fromkeys(["multi_lingual"], _("Translate the prompts to English.")),
    **dict.fromkeys(
        ["optimize_prompt", "optimize_prompt_options"], _("Let the text model expand the prompt.")
    ),
    **dict.fromkeys(["sequential_image_generation"], _("Generate several images of the prompt.")),
    **dict.fromkeys(["control_model"], _("ControlNet, by name.")),
    **dict.fromkeys(["is_controlnet"], _("Follow the edges of the product.")),
    **dict.fromkeys(["base64"], _("Input images are base64.")),
    **dict.fromkeys(["walk_type"], _("Directions in which the image is continued.")),
    **dict.fromkeys(
        ["image_guidance_scale"], _("Guidance by the input image, of InstructPix2Pix checkpoints.")
    ),
    **dict.fromkeys(["sampleStep"], _("Number of sampling steps.")),
    **dict.fromkeys(["promptGuideFactor"], _("How strictly the image follows the prompt (CFG scale).")),
    **dict.fromkeys(["imageCount"], _("Number of images.")),
    **dict.fromkeys(["ADetailer", "detail_passes"], _("Find faces or objects, and inpaint each of them.")),
    **dict.fromkeys(["face_identity"], _("Keep the identity of a face.")),
    **dict.fromkeys(
        ["gfpgan_visibility", "codeformer_visibility", "codeformer_weight"],
        _("Strength of the face restoration."),
    ),
    **dict.fromkeys(
        [
            "frame_count",
            "frame_duration_ms",
            "complexity",
            "svg",
            "markup",
            "layer_decomposition",
            "tools",
            "ip_adapter_id",
            "ip_adapter_scale",
            "ip_adapter_image",
            "self_attention",
        ],
        _("Not supported; refused where it would have an effect."),
    ),
    **dict.fromkeys(["tomesd", "low_vram", "loadbalancer"], _("Accepted without effect.")),
    "instant_response": _("Respond at once; the result is queried later."),
    "temp": _("The URLs of the images expire after a day."),
}
