"""Every page of the vendor's menu has a path here, which serves it or refuses it with the reason."""

import pytest
from django.test import Client

from jobs.models import Job
from tests.dialects.zhiqite.conftest import PREFIX

pytestmark = pytest.mark.slow

SERVED = {
    "sd 文生图-v2": "sd/v2/text2image",
    "sd 文生图-v3": "sd/v3/text2Image",
    "sd 图生图-v2": "sd/v2/image2image",
    "sd 图生图-v3": "sd/v3/image2Image",
    "sd 局部重绘-v1": "sd/v1/inpaint",
    "sd controlnet 生图": "sd/v2/controlnet",
    "查询模型列表": "sd/v2/queryModelList",
    "查询lora列表": "sd/v2/queryLoraList",
    "查询vae列表": "sd/v2/queryVaeList",
    "查询Embedding列表": "sd/v2/queryEmbeddingList",
    "查询归档任务详情": "sd/queryTaskInfo",
    "查询任务实时状态": "sd/v2/queryTaskInfo",
    "绘图工具任务查询": "tool/enlarge/queryTask",
    "Flux文生图": "tool/comfyui/text2image",
    "超分辨": "tool/superResolution",
    "面部修复": "tool/faceRestore",
    "智能擦除": "tool/erase",
    "图片外扩": "tool/imgExpand",
    "CNT预览": "tool/cnt/preview",
    "背景去除": "tool/rembg",
    "图片扩大": "tool/enlarge",
    "给图片加水印": "tool/watermark/add",
    "图片去水印": "tool/watermark/remove",
    "面部检测(脸部提取) faceDetection": "tool/face/detection",
    "异步图片检测": "tool/image/audit",
    "图转文": "tool/interrogate",
    "风格识别": "tool/identifyStyle",
    "提示词扩写": "tool/prompts/expand",
    "sd prompts优化": "tool/prompts/optimize",
    "提示词扩写优化": "tool/prompts/expandOptimize",
    "翻译": "tool/translate",
    "提交训练任务": "modelTraining/submitTraining/Job",
    "训练结果回调": "modelTraining/queryTraining/Job",
}
REFUSED = {
    "个性化写真": ("tool/instantID", "forbid commercial use"),
    "高级换脸": ("tool/v2/roop", "forbid commercial use"),
    "超级换脸 faceFusion": ("tool/face/fusion", "forbid commercial use"),
    "换发型": ("tool/hair/change", "non-commercial use only"),
    "换脸 roop": ("tool/roop", "forbid commercial use"),
    "图生视频": ("tool/image2video", "no videos"),
    "视频加水印": ("video/watermark/add", "does not edit"),
    "移除视频背景": ("video/rembg", "does not edit"),
    "视频比例调整": ("video/resize", "does not edit"),
    "扩大视频图像": ("video/enlarge", "does not edit"),
    "视频补帧": ("video/interpolate", "does not edit"),
    "视频格式转换": ("video/convert", "does not edit"),
    "人声分离": ("audio/separate", "no audio"),
    "文生音乐": ("audio/text2music", "no audio"),
    "文字配音": ("audio/tts", "no audio"),
    "生成歌词": ("audio/lyrics", "no audio"),
}


@pytest.mark.parametrize("page", SERVED)
def test_page_of_the_menu_is_served(alice, page):
    envelope = alice.post(SERVED[page])
    assert envelope["code"] == "400"
    assert "Field required" in envelope["msg"]  # a path that reads its body


@pytest.mark.parametrize("page", REFUSED)
def test_page_of_the_menu_is_refused_with_its_reason(alice, settings, page):
    path, reason = REFUSED[page]
    assert reason in alice.refused(path, {"businessTaskId": "a"})
    settings.ZHIQITE_HTTP_ERRORS = True
    response = alice.client.post(PREFIX + path, {}, content_type="application/json")
    assert response.status_code == 501


@pytest.mark.parametrize("path", ["tool/nothing", "nothing", "video", "image/audit/a/b", "sd/v9/text2image"])
def test_unknown_path_is_refused_in_the_shape_of_the_vendor(alice, path):
    assert alice.post(path) == {"code": "400", "msg": "Not Found", "data": {"errorMessage": "Not Found"}}


@pytest.mark.parametrize("path", ["tool/roop", "video/convert", "modelTraining/submitTraining/Job"])
def test_reason_is_told_to_authenticated_clients_only(alice, path):
    envelope = Client().post(PREFIX + path, {}, content_type="application/json").json()
    assert envelope["msg"] == "accessKey invalid"
    assert not Job.objects.exists()
