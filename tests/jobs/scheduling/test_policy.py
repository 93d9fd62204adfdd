from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from jobs.scheduling.policy import (
    AGEING_S,
    LEAD_S,
    PATIENCE_S,
    WINDOW,
    QueuedJob,
    Reason,
    RunnerView,
    SourceLoad,
    choose,
    explain,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
INTERACTIVE, ASYNC, BULK = range(3)


def waiting(number: int, source_id: int = 1, lane: int = ASYNC, age_s: float = 0.0, **fields) -> QueuedJob:
    created = NOW - timedelta(seconds=age_s)
    return QueuedJob(number, source_id, lane, created, **({"checkpoint": "cold"} | fields))


def load(**fields) -> SourceLoad:
    return SourceLoad(**({"weight": 1.0, "served_s": 0.0, "running": 0, "cap": 100} | fields))


def started(jobs, sources=None, slots: int = 1, **runner) -> list[int]:
    sources = sources or {job.source_id: load() for job in jobs}
    return [job.id for job in choose(jobs, sources, RunnerView(slots, **runner), NOW)]


SOURCES = st.fixed_dictionaries(
    {
        source_id: st.builds(
            SourceLoad,
            weight=st.floats(0.01, 1000),
            served_s=st.floats(0, 1e6),
            running=st.integers(0, 5),
            cap=st.integers(1, 5),
        )
        for source_id in (1, 2, 3)
    }
)
JOBS = st.lists(
    st.builds(
        waiting,
        st.integers(0, 10**6),
        source_id=st.sampled_from([1, 2, 3]),
        lane=st.sampled_from([INTERACTIVE, ASYNC, BULK]),
        age_s=st.floats(0, 500),
        checkpoint=st.sampled_from(["loaded", "cold", "other"]),
        expected_s=st.floats(0, 100),
        suspect=st.booleans(),
    ),
    max_size=20,
    unique_by=lambda job: job.id,
)
RUNNERS = st.builds(
    RunnerView,
    free_slots=st.integers(-2, 10),
    loaded=st.sampled_from([frozenset(), frozenset({"loaded"})]),
    runs_suspect=st.booleans(),
    takes_work=st.sampled_from([True, True, True, False]),
)


# Invariants


@given(JOBS, SOURCES, RUNNERS)
def test_choice_fits_the_free_slots_without_duplicates(jobs, sources, runner):
    chosen = choose(jobs, sources, runner, NOW)
    assert len(chosen) <= max(0, runner.free_slots)
    assert len({job.id for job in chosen}) == len(chosen)
    assert set(chosen) <= set(jobs)


@given(JOBS, SOURCES, RUNNERS)
def test_concurrency_limits_of_sources_are_respected(jobs, sources, runner):
    started_jobs = Counter(job.source_id for job in choose(jobs, sources, runner, NOW))
    for source_id, count in started_jobs.items():
        assert sources[source_id].running + count <= sources[source_id].cap


@given(JOBS, SOURCES, RUNNERS)
def test_suspect_jobs_run_one_at_a_time(jobs, sources, runner):
    suspects = sum(job.suspect for job in choose(jobs, sources, runner, NOW))
    assert suspects + runner.runs_suspect <= 1 or not suspects


@given(JOBS, SOURCES, RUNNERS)
def test_free_slots_are_filled_with_startable_jobs(jobs, sources, runner):
    chosen = choose(jobs, sources, runner, NOW)
    if not runner.takes_work or len(chosen) >= runner.free_slots:
        return
    for job in chosen:
        sources[job.source_id] = sources[job.source_id].with_one_more(job)
    suspect_runs = runner.runs_suspect or any(job.suspect for job in chosen)
    for job in set(jobs) - set(chosen):
        assert not sources[job.source_id].has_room or (job.suspect and suspect_runs)


@given(JOBS, SOURCES, RUNNERS)
def test_unavailable_runner_gets_no_jobs(jobs, sources, runner):
    assert choose(jobs, sources, replace(runner, takes_work=False), NOW) == []


@given(JOBS, SOURCES, RUNNERS)
def test_choice_does_not_depend_on_the_order_of_rows(jobs, sources, runner):
    chosen = [(job.lane, job.source_id) for job in choose(jobs, sources, runner, NOW)]
    if len({(job.created_at, job.source_id) for job in jobs}) == len(jobs):
        backwards = choose(jobs[::-1], sources, runner, NOW)
        assert [(job.lane, job.source_id) for job in backwards] == chosen


# Weights


@given(st.floats(0.1, 10), st.floats(0.1, 10), st.integers(1, 40))
def test_sources_are_served_by_their_weights(weight, other_weight, slots):
    jobs = [waiting(number, source_id=number % 2) for number in range(2 * slots)]
    weights = {0: weight, 1: other_weight}
    sources = {source_id: load(weight=weights[source_id]) for source_id in weights}
    served = Counter(job.source_id for job in choose(jobs, sources, RunnerView(slots), NOW))
    shares = [served[source_id] / weights[source_id] for source_id in weights]
    one_job = 1 / min(weights.values())
    assert abs(shares[0] - shares[1]) <= one_job + 1e-6


def test_three_weights_share_twelve_slots():
    jobs = [waiting(number, source_id=number % 3) for number in range(30)]
    sources = {source_id: load(weight=weight) for source_id, weight in enumerate([3, 2, 1])}
    chosen = choose(jobs, sources, RunnerView(12), NOW)
    assert Counter(job.source_id for job in chosen) == {0: 6, 1: 4, 2: 2}


def test_long_jobs_count_for_more_than_short_ones():
    jobs = [waiting(number, source_id=1, expected_s=4) for number in range(8)]
    jobs += [waiting(number, source_id=2, expected_s=1) for number in range(8, 16)]
    assert Counter(number < 8 for number in started(jobs, slots=5)) == {True: 1, False: 4}


def test_least_served_source_goes_first():
    jobs = [waiting(1, source_id=1, age_s=5), waiting(2, source_id=2)]
    assert started(jobs, {1: load(served_s=9), 2: load(served_s=1)}) == [2]


def test_old_backlog_of_an_overserved_source_does_not_go_first():
    jobs = [waiting(1, source_id=1, age_s=10 * AGEING_S), waiting(2, source_id=2)]
    assert started(jobs, {1: load(served_s=LEAD_S + 1), 2: load()}) == [2]


def test_lane_does_not_help_an_overserved_source():
    jobs = [waiting(1, source_id=1, lane=INTERACTIVE), waiting(2, source_id=2, lane=BULK)]
    assert started(jobs, {1: load(served_s=LEAD_S + 1), 2: load()}) == [2]
    assert started(jobs, {1: load(served_s=LEAD_S - 1), 2: load()}) == [1]


def test_lead_is_measured_against_waiting_sources_only():
    jobs = [waiting(1, source_id=1), waiting(2, source_id=2, lane=INTERACTIVE)]
    sources = {1: load(served_s=LEAD_S), 2: load(served_s=2 * LEAD_S), 3: load()}
    assert started(jobs, sources) == [2]


# Lanes and ageing


def test_lanes_are_served_in_order():
    jobs = [waiting(1, lane=BULK), waiting(2, lane=ASYNC), waiting(3, lane=INTERACTIVE)]
    assert started(jobs, slots=3) == [3, 2, 1]


def test_waiting_job_rises_by_one_lane_per_ageing_period():
    aged = waiting(1, lane=ASYNC, age_s=AGEING_S)
    assert started([waiting(2, lane=INTERACTIVE), aged]) == [1]


@given(
    lane=st.sampled_from([ASYNC, BULK]),
    rival_weight=st.floats(0.1, 10),
    served_s=st.floats(0, 100),
    same_source=st.booleans(),
)
def test_waiting_time_is_bounded(lane, rival_weight, served_s, same_source):
    """Each second one slot is free and a new interactive job arrives; each job uses one second of its source's share."""
    patient = waiting(-1, source_id=1, lane=lane)
    rival = 1 if same_source else 2
    sources = {1: load(served_s=served_s), 2: load(weight=rival_weight)}
    bound = int(lane * AGEING_S + PATIENCE_S + rival_weight * served_s) + 2
    jobs = [patient]
    for second in range(bound):
        now = NOW + timedelta(seconds=second)
        jobs.append(QueuedJob(second, rival, INTERACTIVE, now, "cold"))
        (chosen,) = choose(jobs, sources, RunnerView(1), now)
        if chosen is patient:
            return
        jobs.remove(chosen)
        sources[chosen.source_id] = replace(sources[chosen.source_id].with_one_more(chosen), running=0)
    raise AssertionError(f"still waiting after {bound} s")


# Affinity


def test_job_with_a_loaded_checkpoint_may_go_before_an_older_one():
    jobs = [waiting(1, age_s=5), waiting(2, checkpoint="loaded")]
    assert started(jobs, loaded=frozenset({"loaded"})) == [2]


def test_affinity_is_limited_to_a_window():
    jobs = [waiting(number, age_s=PATIENCE_S - number / 100) for number in range(WINDOW)]
    late = waiting(WINDOW, checkpoint="loaded")
    assert started([*jobs, late], loaded=frozenset({"loaded"})) == [0]
    assert started([*jobs[1:], late], loaded=frozenset({"loaded"})) == [WINDOW]


def test_affinity_does_not_delay_a_job_beyond_the_limit():
    jobs = [waiting(1, age_s=PATIENCE_S + 1), waiting(2, checkpoint="loaded")]
    assert started(jobs, loaded=frozenset({"loaded"})) == [1]


def test_affinity_does_not_outweigh_fairness():
    jobs = [waiting(1, source_id=1, checkpoint="loaded"), waiting(2, source_id=2)]
    assert started(jobs, {1: load(served_s=1), 2: load()}, loaded=frozenset({"loaded"})) == [2]


def test_checkpoint_of_a_chosen_job_counts_as_loaded():
    jobs = [
        waiting(1, age_s=9, checkpoint="a"),
        waiting(2, age_s=8, checkpoint="b"),
        waiting(3, age_s=7, checkpoint="a"),
    ]
    assert started(jobs, slots=3) == [1, 3, 2]


# Explanations


@given(JOBS.filter(bool), SOURCES, RUNNERS)
def test_explanation_matches_the_choice(jobs, sources, runner):
    chosen = choose(jobs, sources, runner, NOW)
    for job in jobs:
        explanation = explain(job, jobs, sources, runner, NOW)
        assert (explanation.reason == Reason.NEXT) == (job in chosen)
        assert 0 <= explanation.ahead <= len(jobs)


def reason(job: QueuedJob, *others: QueuedJob, source: SourceLoad | None = None, slots: int = 1, **runner):
    explanation = explain(job, [job, *others], {1: source or load()}, RunnerView(slots, **runner), NOW)
    return explanation.reason, explanation.ahead


def test_explanation_gives_the_reason_and_the_position():
    job, older = waiting(1), waiting(2, age_s=9)
    assert reason(job) == (Reason.NEXT, 0)
    assert reason(job, takes_work=False) == (Reason.NO_RUNNER, 0)
    assert reason(job, source=load(running=1, cap=1)) == (Reason.SOURCE_AT_CAP, 0)
    assert reason(replace(job, suspect=True), runs_suspect=True) == (Reason.SUSPECT_WAITS, 0)
    assert reason(job, older, slots=0) == (Reason.NO_FREE_SLOT, 1)
    assert reason(job, older, slots=1) == (Reason.BEHIND_OTHERS, 1)
