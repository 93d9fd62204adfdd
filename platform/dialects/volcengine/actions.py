"""Table of operations by Version and Action."""

from __future__ import annotations

from .envelope import FLAT
from .operations import Operation, cancel, process, result, submit

LATER = "2024-06-06"
# Actions of SDK helpers for one style each -> the req_key to use if the body has none.
STYLES = {
    "Img2ImgCreatePastelBoys2D": "img2img_pastel_boys_style",
    "Img2ImgCreateEtherRealMix": "img2img_real_mix_style",
    "Img2ImgCreateRevAnimated": "img2img_rev_animated_style",
    "Img2ImgCreateToonyou": "img2img_cartoon_style",
    "Img2ImgCreateAnyloraMakoto": "img2img_makoto_style",
    "Img2ImgCreateDisneyStyleNoFace": "img2img_disney_3d_style",
    "Img2ImgCreateAesBlueline": "img2img_blueline_style",
    "Img2ImgCreateInkAndWater": "img2img_water_ink_style",
    "Img2ImgWaterColorStyle": "img2img_water_paint_style",
    "Img2ImgComicsStyle": "img2img_comic_style",
    "Img2ImgExquisiteStyle": "img2img_exquisite_style",
    "Img2ImgStyle": "img2img_style",
    "Img2ImgAnime": "img2img_anime",
    "Img2ImgAnimeAcceleratedMaintainID": "img2img_anime_accelerated_maintain_id",
    "Img2ImgInpainting": "i2i_inpainting",
    "Img2ImgInpaintingEdit": "i2i_inpainting_edit",
    "Img2ImgOutpainting": "i2i_outpainting",
    "HighAesSmartDrawing": "high_aes_general_v14",
    "T2ILDM": "t2i_ldm",
    "Text2ImgXLSft": "t2i_xl_sft",
    "Img2ImgXLSft": "i2i_xl_sft",
}
LATER_STYLES = {
    "AIGCStylizeImage": "",
    "AIGCStylizeImageUsage": "",
    "HighAesGeneralV14": "high_aes_general_v14",
    "HighAesGeneralV20": "high_aes_general_v20",
    "HighAesGeneralV20L": "high_aes_general_v20_L",
    "Text2ImgXLSft": "t2i_xl_sft",
    "Img2ImgXLSft": "i2i_xl_sft",
    "Img2ImgInpainting": "i2i_inpainting",
    "Img2ImgInpaintingEdit": "i2i_inpainting_edit",
    "Img2ImgOutpainting": "i2i_outpainting",
}
OPERATIONS = {
    (FLAT, "CVProcess"): Operation(process),
    (FLAT, "CVSubmitTask"): Operation(submit),
    (FLAT, "CVGetResult"): Operation(result, allows_get=True),
    (FLAT, "CVSync2AsyncSubmitTask"): Operation(submit),
    (FLAT, "CVSync2AsyncGetResult"): Operation(result, allows_get=True),
    (LATER, "CVCancelTask"): Operation(cancel),
}
OPERATIONS |= {(FLAT, action): Operation(process, req_key=key) for action, key in STYLES.items()}
OPERATIONS |= {(LATER, action): Operation(process, req_key=key) for action, key in LATER_STYLES.items()}
