"""Programs that `make run` starts."""

from config.management.commands.up import comfyui_programs, platform_programs, trainer_programs
from jobs.models import Runner


def test_each_comfyui_server_gets_an_adapter_a_cluster_and_a_runner(db):
    first, cluster, *_second = comfyui_programs(["http://10.0.0.5:8188", "http://10.0.0.6:8188"])
    assert first.command[1:3] == ["-m", "gpu_runner.comfyui"]
    assert first.environment == {"COMFYUI_URL": "http://10.0.0.5:8188"}, "not in the list of processes"
    assert cluster.environment["RUNNER_NAME"] == "comfyui-1"
    urls = dict(Runner.objects.values_list("name", "url"))
    assert urls.keys() == {"comfyui-1", "comfyui-2"}
    assert urls["comfyui-1"].endswith(first.command[-1])


def test_trainer_has_a_cluster_of_its_own(db):
    trainer, cluster = trainer_programs()
    assert trainer.command[1:4] == ["-m", "gpu_runner", "train"]
    assert cluster.environment["RUNNER_NAME"] == "trainer"
    runner = Runner.objects.get(name="trainer")
    assert runner.backend == "training"
    assert runner.url.rpartition(":")[2] in trainer.command


def environment_of_the_runner() -> dict[str, str]:
    return dict(next(one for one in platform_programs("8000", 9000) if one.name == "runner").environment)


def test_threads_of_the_runner_do_not_spin_while_they_wait(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert environment_of_the_runner() == {"OMP_WAIT_POLICY": "passive"}
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    assert environment_of_the_runner() == {"OMP_WAIT_POLICY": "active"}
