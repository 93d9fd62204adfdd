"""What each source gets of the runners, and how long it waits, by the platform's policy and in a plain queue.

    python -m bench fairness                made-up mixes
    python -m bench.fairness jobs.jsonl     a recorded one: the output of `manage.py list_jobs --json`

In simulated time, with the very function that hands out jobs.
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
from bench.simulation import Arrival, Drawn, Source, first_come
from jobs.scheduling import policy

INTERACTIVE, ASYNC, BULK = range(3)
GOAL_JOBS = 1.5  # median wait of a small source, in the time of a job in its slot
HOT_JOBS = 1000


@dataclass(frozen=True)
class Mix:
    name: str
    arrivals: list[Arrival]
    sources: dict[str, Source]
    small: tuple[str, ...] = ()  # those whose median wait has a goal
    runners: int = 1
    slots: int = 4
    change_s: float = 0.0
    until_s: float = 900.0  # shares are looked at while everybody still wants something
    job_s: float = field(default=4.0)  # the time of a job in its slot

    def drawn(self, choose: simulation.Choose) -> list[Drawn]:
        shape = {"runners": self.runners, "slots": self.slots, "change_s": self.change_s}
        return simulation.run(self.arrivals, self.sources, choose=choose, **shape)  # type: ignore[arg-type]


def flood(source: str, count: int = HOT_JOBS, at_s: float = 0.0, **job: object) -> list[Arrival]:
    return [Arrival(source, at_s, **{"takes_s": 4.0} | job) for _ in range(count)]  # type: ignore[arg-type]


def drip(source: str, every_s: float, until_s: float, seed: int, **job: object) -> list[Arrival]:
    """One now and then, as people ask."""
    dice = random.Random(seed)
    at_s, arrivals = dice.uniform(0, every_s), []
    while at_s < until_s:
        arrivals.append(Arrival(source, at_s, **{"takes_s": 4.0} | job))  # type: ignore[arg-type]
        at_s += dice.expovariate(1 / every_s)
    return arrivals


def drips(names: Iterable[str], every_s: float, until_s: float, **job: object) -> list[Arrival]:
    return [
        arrival for seed, name in enumerate(names) for arrival in drip(name, every_s, until_s, seed, **job)
    ]


SMALL = ("small-1", "small-2", "small-3")


def mixes() -> list[Mix]:
    """Four slots draw a job of four seconds every second; a thousand of them take a thousand seconds."""
    sources = {name: Source() for name in ("hot", *SMALL)}
    until_s = Mix.until_s
    return [
        Mix("a hot source with 1,000 queued", flood("hot") + drips(SMALL, 20, until_s), sources, SMALL),
        Mix(
            "the same, and the hot one is interactive",
            flood("hot", lane=INTERACTIVE) + drips(SMALL, 20, until_s, lane=ASYNC),
            sources,
            SMALL,
        ),
        Mix(
            "the same, and the small ones are bulk",
            flood("hot") + drips(SMALL, 20, until_s, lane=BULK),
            sources,
            SMALL,
        ),
        Mix(
            "the hot one draws for 16 s a job",
            flood("hot", count=250, takes_s=16.0) + drips(SMALL, 20, until_s),
            sources,
            SMALL,
            job_s=16.0,
        ),
        Mix(
            "two runners, three checkpoints, 8 s to change",
            flood("hot", count=2 * HOT_JOBS)
            + drips(SMALL[:2], 20, until_s, checkpoint="b")
            + drips(SMALL[2:], 20, until_s, checkpoint="c"),
            sources,
            SMALL,
            runners=2,
            change_s=8.0,
            job_s=12.0,
        ),
        Mix(
            "equal, and all want more than there is",
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
    """As it came in. Seconds of the device stand for the time in a slot."""
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    rows = [row for row in rows if row["started_at"] and row["device_seconds"]]
    if not rows:
        raise SystemExit(f"{path}: no job that was drawn")
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
    ours, plain = mix.drawn(policy.choose), mix.drawn(first_come)
    shares, plainly = (simulation.shares(drawn, mix.until_s) for drawn in (ours, plain))
    rows = []
    for source in mix.sources:
        share = f"{mix.name}: {source}'s share (first come: {plainly.get(source, 0) * 100:.0f} %)"
        rows.append(Row(share, shares.get(source, 0) * 100, "%"))
        for percent in (50, 95, 99):
            wait_s, plain_s = (simulation.wait_s(drawn, source, percent) for drawn in (ours, plain))
            has_goal = source in mix.small and percent == 50
            goal = f"≤ {GOAL_JOBS * mix.job_s:g} s" if has_goal else ""
            rows.append(Row(f"    its wait, p{percent} (first come: {plain_s:.0f} s)", wait_s, "s", goal))
    if mix.change_s:
        changes = [sum(job.changed_models for job in drawn) for drawn in (ours, plain)]
        rows.append(Row(f"    changes of models (first come: {changes[1]})", changes[0], ""))
    return rows


def measure() -> list[Row]:
    return [row for mix in mixes() for row in figures(mix)]


if __name__ == "__main__":
    from bench.report import table

    print(table([row for path in sys.argv[1:] for row in figures(recorded(Path(path)))]))
