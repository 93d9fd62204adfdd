"""Programs that `make run` starts for ComfyUI servers."""

from config.management.commands.up import comfyui_programs
from jobs.models import Runner


def test_each_comfyui_server_gets_an_adapter_a_cluster_and_a_runner(db):
    first, cluster, *_second = comfyui_programs(["http://10.0.0.5:8188", "http://10.0.0.6:8188"])
    assert first.command[1:5] == ["-m", "gpu_runner.comfyui", "--url", "http://10.0.0.5:8188"]
    assert cluster.environment["RUNNER_NAME"] == "comfyui-1"
    urls = dict(Runner.objects.values_list("name", "url"))
    assert urls.keys() == {"comfyui-1", "comfyui-2"}
    assert urls["comfyui-1"].endswith(first.command[-1])
