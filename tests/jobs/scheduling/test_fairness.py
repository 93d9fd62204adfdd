"""The scheduling policy in simulated time: shares and waiting times of many sources."""

import json

import pytest

from bench import fairness, simulation
from bench.simulation import fifo
from jobs.scheduling import policy

MIXES = {mix.name: mix for mix in fairness.mixes()}
HOT = [name for name, mix in MIXES.items() if mix.small]


@pytest.mark.parametrize("name", HOT)
def test_median_wait_beside_a_flood_is_at_most_one_and_a_half_jobs(name):
    mix = MIXES[name]
    completed = mix.finished(policy.choose)
    assert len(completed) == len(mix.arrivals)
    for source in mix.small:
        assert simulation.wait_s(completed, source, 50) <= fairness.GOAL_JOBS * mix.job_s


def test_fifo_queue_would_exceed_that_wait():
    mix = MIXES[HOT[0]]
    completed = mix.finished(fifo)
    assert min(simulation.wait_s(completed, source, 50) for source in mix.small) > 100 * mix.job_s


def test_flooding_source_gets_the_idle_capacity():
    mix = MIXES[HOT[0]]
    completed = mix.finished(policy.choose)
    busy_s = sum(job.within(mix.until_s) for job in completed)
    assert busy_s == pytest.approx(mix.slots * mix.until_s, rel=0.01)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("equal sources that exceed the capacity", dict.fromkeys(fairness.SMALL, 1 / 3)),
        ("weights 1 and 3", {"one": 0.25, "three": 0.75}),
        ("jobs of 1 s and of 10 s", {"short": 0.5, "long": 0.5}),
    ],
)
def test_time_is_shared_by_weights_regardless_of_job_duration(name, expected):
    mix = MIXES[name]
    shares = simulation.shares(mix.finished(policy.choose), mix.until_s)
    assert shares == pytest.approx(expected, abs=0.02)


def test_recorded_mix_reads_the_output_of_list_jobs(tmp_path):
    rows = [
        {
            "source": source,
            "lane": 1,
            "created_at": f"2026-01-01T00:00:0{second}Z",
            "started_at": "2026-01-01T00:01:00Z",
            "device_seconds": 2.0,
            "checkpoint_sha256": "a",
        }
        for second, source in enumerate(["shop", "blog"])
    ]
    rows.append(rows[0] | {"started_at": None})
    path = tmp_path / "jobs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    mix = fairness.recorded(path)
    assert [(job.source, job.at_s, job.takes_s) for job in mix.arrivals] == [("shop", 0, 2), ("blog", 1, 2)]
    assert any("shop" in row.what for row in fairness.figures(mix))
