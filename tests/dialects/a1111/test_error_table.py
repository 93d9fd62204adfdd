"""Every row of the two error tables of the API contract."""

import pytest

LATENT = "Latent"
NOT_AN_IMAGE = "aGVsbG8gd29ybGQ="

VALIDATION = [
    ("txt2img", {"steps": "20.5"}, ["steps"], "value is not a valid integer", "type_error.integer"),
    ("txt2img", {"cfg_scale": "x"}, ["cfg_scale"], "value is not a valid float", "type_error.float"),
    ("txt2img", {"tiling": 2}, ["tiling"], "value could not be parsed to a boolean", "type_error.bool"),
    ("txt2img", {"prompt": ["a"]}, ["prompt"], "str type expected", "type_error.str"),
    ("txt2img", {"styles": "x"}, ["styles"], "value is not a valid list", "type_error.list"),
    ("txt2img", {"styles": ["a", []]}, ["styles", 1], "str type expected", "type_error.str"),
    ("txt2img", {"override_settings": 5}, ["override_settings"], "value is not a valid dict", "type_error.dict"),
    ("txt2img", {"send_images": None}, ["send_images"], "none is not an allowed value", "type_error.none.not_allowed"),
    ("png-info", {}, ["image"], "field required", "value_error.missing"),
    ("extra-batch-images", {}, ["imageList"], "field required", "value_error.missing"),
    ("extra-batch-images", {"imageList": [{"data": "x"}]}, ["imageList", 0, "name"], "field required", "value_error.missing"),
    ("extra-batch-images", {"imageList": [{"data": [], "name": "x"}]}, ["imageList", 0, "data"],
     "str type expected", "type_error.str"),
    ("extra-batch-images", {"imageList": [5]}, ["imageList", 0], "value is not a valid dict", "type_error.dict"),
    ("extra-batch-images", {"imageList": []}, ["imageList"],
     "ensure this value has at least 1 items", "value_error.list.min_items"),
    ("extra-single-image", {"image": {}}, ["image"], "str type expected", "type_error.str"),
    ("extra-single-image", {"image": None}, ["image"],
     "none is not an allowed value", "type_error.none.not_allowed"),
    ("extra-single-image", {"resize_mode": 2}, ["resize_mode"], "unexpected value; permitted: 0, 1", "value_error.const"),
    ("extra-single-image", {"gfpgan_visibility": 2}, ["gfpgan_visibility"],
     "ensure this value is less than or equal to 1", "value_error.number.not_le"),
    ("extra-single-image", {"gfpgan_visibility": -1}, ["gfpgan_visibility"],
     "ensure this value is greater than or equal to 0", "value_error.number.not_ge"),
    ("extra-single-image", {"upscaling_resize": 0}, ["upscaling_resize"],
     "ensure this value is greater than 0", "value_error.number.not_gt"),
]  # fmt: skip


@pytest.mark.parametrize(("route", "body", "place", "msg", "kind"), VALIDATION)
def test_invalid_value_is_an_entry_of_fastapis_list(alice, route, body, place, msg, kind) -> None:
    response = alice.post(route, body)
    assert response.status_code == 422
    entry = response.json()["detail"][0]
    assert (entry["loc"], entry["msg"], entry["type"]) == (["body", *place], msg, kind)


def test_entry_contains_the_permitted_values_or_the_bound(alice) -> None:
    entry = alice.post("extra-single-image", {"resize_mode": 2}).json()["detail"][0]
    assert entry["ctx"] == {"given": 2, "permitted": [0, 1]}
    entry = alice.post("extra-single-image", {"upscaling_resize": 0}).json()["detail"][0]
    assert entry["ctx"] == {"limit_value": 0}


REASON = "An input image is not an image file. Supported formats: PNG, JPEG, WEBP, BMP, GIF, AVIF."
HANDLER = [
    ("img2img", {"init_images": [NOT_AN_IMAGE]}, 500, "HTTPException", "Invalid encoded image",
     f"init_images[0]: {REASON}"),
    ("img2img", {"init_images": ["RED"], "mask": "§"}, 500, "HTTPException", "Invalid encoded image",
     "mask: not base64, or empty."),
    ("extra-single-image", {"image": NOT_AN_IMAGE}, 500, "HTTPException", "Invalid encoded image",
     f"image: {REASON}"),
    ("extra-batch-images", {"imageList": [{"data": "RED", "name": "a"}, {"data": NOT_AN_IMAGE, "name": "b"}]}, 500,
     "HTTPException", "Invalid encoded image", f"imageList[1].data: {REASON}"),
    ("png-info", {"image": NOT_AN_IMAGE}, 500, "HTTPException", "Invalid encoded image", f"image: {REASON}"),
    ("options", {"samples_format": "bmp"}, 500, "HTTPException", "Invalid image format", ""),
    ("img2img", {}, 404, "HTTPException", "Init image not found", ""),
    ("interrogate", {"model": "bogus"}, 404, "HTTPException", "Model not found", ""),
    ("txt2img", {"script_name": "bogus"}, 422, "HTTPException", "Script 'bogus' not found", ""),
    ("txt2img", {"alwayson_scripts": {"bogus": {}}}, 422, "HTTPException", "Script 'bogus' not found", ""),
    ("options", {"sd_model_checkpoint": "X"}, 500, "RuntimeError", "", "model 'X' not found"),
    ("options", {"bogus": 1}, 500, "KeyError", "", "'bogus'"),
    ("txt2img", {"override_settings": {"bogus": 1}}, 500, "KeyError", "", "'bogus'"),
    ("txt2img", {"enable_hr": True, "denoising_strength": 0.5, "hr_upscaler": "X"}, 500, "Exception", "",
     "could not find upscaler named X"),
    ("txt2img", {"refiner_checkpoint": "X", "refiner_switch_at": 0.5}, 500, "Exception", "",
     "Could not find checkpoint with name X"),
    ("txt2img", {"enable_hr": True, "denoising_strength": 0.5, "hr_checkpoint_name": "X"}, 500, "Exception", "",
     "Could not find checkpoint with name X"),
    ("extra-single-image", {"image": "RED", "upscaler_1": "X"}, 500, "AssertionError", "",
     "could not find upscaler named X"),
    ("img2img", {"init_images": ["RED"] * 3, "batch_size": 2}, 500, "RuntimeError", "",
     "bad number of images passed: 3; expecting 2 or less"),
    ("img2img", {"init_images": []}, 500, "IndexError", "", "list index out of range"),
    ("txt2img", {"enable_hr": True}, 500, "TypeError", "",
     "'>' not supported between instances of 'NoneType' and 'int'"),
]  # fmt: skip


@pytest.mark.parametrize(("route", "body", "status", "error", "detail", "errors"), HANDLER)
def test_handler_error_is_the_original_object(alice, red, route, body, status, error, detail, errors) -> None:
    given = {name: _with(value, red) for name, value in body.items()}
    response = alice.post(route, given)
    assert (response.status_code, response.json()) == (
        status,
        {"error": error, "detail": detail, "body": "", "errors": errors},
    )


def _with(value, red):
    if isinstance(value, list):
        return [_with(item, red) for item in value]
    if isinstance(value, dict):
        return {name: _with(item, red) for name, item in value.items()}
    return red if value == "RED" else value


def test_forbidden_and_disabled_urls_have_the_original_messages(alice, settings) -> None:
    response = alice.post("img2img", {"init_images": ["http://127.0.0.1/a.png"]})
    assert (response.status_code, response.json()["detail"]) == (500, "Request to local resource not allowed")
    settings.INPUT_URLS = False
    response = alice.post("img2img", {"init_images": ["http://example.org/a.png"]})
    assert (response.status_code, response.json()["detail"]) == (500, "Requests not allowed")


def test_selectable_script_is_rejected_in_alwayson_scripts(alice) -> None:
    response = alice.post("txt2img", {"alwayson_scripts": {"ControlNet M2M": {"args": []}}})
    detail = "Cannot have a selectable script in the always on scripts params"
    assert (response.status_code, response.json()["detail"]) == (422, detail)


def test_unknown_script_in_alwayson_scripts_is_not_found(alice) -> None:
    response = alice.post("txt2img", {"alwayson_scripts": {"bogus": {"args": []}}})
    assert (response.status_code, response.json()["detail"]) == (422, "Script 'bogus' not found")
