"""Share of the runners and waiting time per source, with the platform's policy and with a FIFO queue.

    python -m bench fairness                synthetic mixes
    python -m bench.fairness jobs.jsonl     a recorded one: the output of `manage.py list_jobs --json`

Runs in simulated time, with the production scheduling function.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from bench import simulation
from bench.report import Row
from bench.simulation import Arrival, FinishedJob, Source, fifo
from jobs.scheduling import policy

INTERACTIVE, ASYNC, BULK = range(3)
GOAL_JOBS = 1.5  # maximum median wait of a small source, as a multiple of the job duration
LARGE_SOURCE_JOBS = 1000


@dataclass(frozen=True)
class Mix:
    name: str
    arrivals: list[Arrival]
    sources: dict[str, Source]
    small: tuple[str, ...] = ()  # sources whose median wait has a goal
    runners: int = 1
    slots: int = 4
    change_s: float = 0.0
    until_s: float = 900.0  # shares are measured until then, while all sources have queued jobs
    job_s: float = field(default=4.0)  # duration of a job in its slot

    def finished(self, choose: simulation.Choose) -> list[FinishedJob]:
        shape = {"runners": self.runners, "slots": self.slots, "change_s": self.change_s}
        return simulation.run(self.arrivals, self.sources, choose=choose, **shape)  # type: ignore[arg-type]


def flood(source: str, count: int = LARGE_SOURCE_JOBS, at_s: float = 0.0, **job: object) -> list[Arrival]:
    return [Arrival(source, at_s, **{"takes_s": 4.0} | job) for _ in range(count)]  # type: ignore[arg-type]


def drip(source: str, every_s: float, until_s: float, seed: int, **job: object) -> list[Arrival]:
    """Poisson arrivals of one source, ``every_s`` seconds apart on average."""
    rng = random.Random(seed)
    at_s, arrivals = rng.uniform(0, every_s), []
    while at_s < until_s:
        arrivals.append(Arrival(source, at_s, **{"takes_s": 4.0} | job))  # type: ignore[arg-type]
        at_s += rng.expovariate(1 / every_s)
    return arrivals


def drips(names: Iterable[str], every_s: float, until_s: float, **job: object) -> list[Arrival]:
    return [
        arrival for seed, name in enumerate(names) for arrival in drip(name, every_s, until_s, seed, **job)
    ]


SMALL = ("small-1", "small-2", "small-3")


def mixes() -> list[Mix]:
    """Synthetic mixes. Four slots finish one 4 s job per second, so 1,000 jobs take 1,000 s."""
    sources = {name: Source() for name in ("large", *SMALL)}
    until_s = Mix.until_s
    return [
        Mix("one source with 1,000 queued jobs", flood("large") + drips(SMALL, 20, until_s), sources, SMALL),
        Mix(
            "the same, and the large one is interactive",
            flood("large", lane=INTERACTIVE) + drips(SMALL, 20, until_s, lane=ASYNC),
            sources,
            SMALL,
        ),
        Mix(
            "the same, and the small ones are bulk",
            flood("large") + drips(SMALL, 20, until_s, lane=BULK),
            sources,
            SMALL,
        ),
        Mix(
            "the same, and the jobs of the large one take 16 s",
            flood("large", count=250, takes_s=16.0) + drips(SMALL, 20, until_s),
            sources,
            SMALL,
            job_s=16.0,
        ),
        Mix(
            "two runners, three checkpoints, 8 s to change",
            flood("large", count=2 * LARGE_SOURCE_JOBS)
            + drips(SMALL[:2], 20, until_s, checkpoint="b")
            + drips(SMALL[2:], 20, until_s, checkpoint="c"),
            sources,
            SMALL,
            runners=2,
            change_s=8.0,
            job_s=12.0,
        ),
        Mix(
            "equal sources that exceed the capacity",
            [job for name in SMALL for job in flood(name, 500)],
            {name: Source() for name in SMALL},
        ),
        Mix(
            "weights 1 and 3",
            flood("one", 500) + flood("three", 500),
            {"one": Source(), "three": Source(weight=3.0)},
            until_s=500.0,
        ),
        Mix(
            "jobs of 1 s and of 10 s",
            flood("short", 1500, takes_s=1.0) + flood("long", 150, takes_s=10.0),
            {"short": Source(), "long": Source()},
            until_s=600.0,
        ),
    ]


def recorded(path: Path) -> Mix:
    """Mix with recorded arrival times. ``device_seconds`` is the duration in the slot."""
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    rows = [row for row in rows if row["started_at"] and row["device_seconds"]]
    if not rows:
        raise SystemExit(f"{path}: no finished job")
    begin = min(datetime.fromisoformat(row["created_at"]) for row in rows)
    arrivals = [
        Arrival(
            row["source"],
            (datetime.fromisoformat(row["created_at"]) - begin).total_seconds(),
            row["device_seconds"],
            row["lane"],
            row["checkpoint_sha256"],
        )
        for row in rows
    ]
    mean_s = sum(job.takes_s for job in arrivals) / len(arrivals)
    sources = {name: Source() for name in sorted({job.source for job in arrivals})}
    until_s = max(job.at_s for job in arrivals) + mean_s
    return Mix(path.name, arrivals, sources, until_s=until_s, job_s=mean_s)


def figures(mix: Mix) -> list[Row]:
    policy_jobs, fifo_jobs = mix.finished(policy.choose), mix.finished(fifo)
    shares, fifo_shares = (simulation.shares(finished, mix.until_s) for finished in (policy_jobs, fifo_jobs))
    rows = []
    for source in mix.sources:
        share = f"{mix.name}: {source}'s share (first come: {fifo_shares.get(source, 0) * 100:.0f} %)"
        rows.append(Row(share, shares.get(source, 0) * 100, "%"))
        for percent in (50, 95, 99):
            wait_s, fifo_s = (
                simulation.wait_s(finished, source, percent) for finished in (policy_jobs, fifo_jobs)
            )
            has_goal = source in mix.small and percent == 50
            goal = f"≤ {GOAL_JOBS * mix.job_s:g} s" if has_goal else ""
            rows.append(Row(f"    its wait, p{percent} (first come: {fifo_s:.0f} s)", wait_s, "s", goal))
    if mix.change_s:
        changes = [sum(job.changed_models for job in finished) for finished in (policy_jobs, fifo_jobs)]
        rows.append(Row(f"    changes of models (first come: {changes[1]})", changes[0], ""))
    return rows


def measure() -> list[Row]:
    return [row for mix in mixes() for row in figures(mix)]


if __name__ == "__main__":
    from bench.report import table

    print(table([row for path in sys.argv[1:] for row in figures(recorded(Path(path)))]))
