"""Many jobs share the device, and none of them can tell."""

import itertools
import threading

import numpy as np
import pytest
import torch

from gpu_runner.engine import engine as engine_module
from gpu_runner.engine.engine import Engine
from gpu_runner.models.store import ModelStore
from gpu_runner.networks import batched_calls
from gpu_runner.networks.operations import DecodeLatent, Denoise
from gpu_runner.protocol import Accepted, Done, Failed, ModelFile, Progress, sampler_catalog
from tests.support.event_listener import Listener, order_of, picture_file

pytestmark = pytest.mark.slow

STRANGERS = [
    {
        "prompt": "a blue star AND (a cat:1.2) BREAK on a mat",
        "sampler": "Euler a",
        "num_inference_steps": 9,
        "guidance_scale": 3.0,
        "seed": 11,
    },
    {"prompt": "", "sampler": "DPM++ 2M", "num_inference_steps": 5, "guidance_scale": 1.0, "seed": 12},
    {
        "prompt": "two (cats:1.4)",
        "sampler": "DDIM",
        "num_inference_steps": 12,
        "guidance_scale": 9.0,
        "seed": 13,
    },
    {"prompt": "a long " * 90, "sampler": "UniPC", "num_inference_steps": 7, "seed": 14},
    {"prompt": "a dog", "sampler": "Heun", "num_inference_steps": 4, "negative_prompt": "a cat", "seed": 15},
    {"prompt": "a house", "sampler": "LMS", "num_inference_steps": 8, "scheduler": "Karras", "seed": 16},
    {"prompt": "wide", "sampler": "DPM2 a", "num_inference_steps": 5, "width": 96, "seed": 17},
    {
        "prompt": "twice",
        "sampler": "DPM++ 2S a",
        "num_images": 2,
        "batch_size": 2,
        "clip_skip": 2,
        "seed": 18,
    },
]


@pytest.fixture(scope="module")
def store(tiny_checkpoint):
    root, _file = tiny_checkpoint
    return ModelStore(root, "cpu", torch.float32, 2**34)


@pytest.fixture
def engine(store):
    engine = Engine(store, torch.device("cpu"))
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def file(tiny_checkpoint):
    return tiny_checkpoint[1]


@pytest.fixture
def submit(engine, file):
    numbers = itertools.count()

    def submit(*files, job_id=None, **fields):
        listener = Listener()
        engine.submit(order_of(job_id or f"job-{next(numbers)}", file, *files, **fields), listener)
        return listener

    return submit


@pytest.fixture
def gate(monkeypatch):
    """Holds the device before its next call until the test lets it go on; ``gate.reached`` tells that it waits."""

    class Gate:
        def __init__(self):
            self.reached, self.open = threading.Event(), threading.Event()

        def __call__(self, asks):
            if any(isinstance(ask, Denoise) for ask in asks):
                self.reached.set()
                assert self.open.wait(60)
            return answer(asks)

    answer, gate = batched_calls.answer, Gate()
    monkeypatch.setattr(batched_calls, "answer", gate)
    yield gate
    gate.open.set()


def test_a_job_is_accepted_makes_progress_gives_its_picture_and_is_done(submit):
    job = submit(num_inference_steps=6, seed=4)
    done = job.end()
    assert [type(event).__name__ for event in job.events] == ["Accepted", *["Progress"] * 6, "Image", "Done"]
    assert [progress.step for progress in job.progress] == [1, 2, 3, 4, 5, 6]
    assert {progress.steps for progress in job.progress} == {6}
    assert (job.images[0].seed, job.images[0].width, job.images[0].height) == (4, 64, 64)
    assert done.steps_run == 6
    assert 0 < done.device_seconds <= done.engine_seconds


def test_a_picture_alone_and_among_eight_strangers_is_the_same(submit, gate):
    """The device is held until all nine have arrived, so that they really share their calls."""
    prompt = "a [red:green:0.5] [circle|square] AND a dog:0.4"
    mine = {"prompt": prompt, "sampler": "Euler a", "num_inference_steps": 10, "seed": 99}
    gate.open.set()
    alone = submit(**mine)
    alone.end()
    gate.open.clear()
    strangers = [submit(**fields) for fields in STRANGERS]
    together = submit(**mine)
    gate.open.set()
    for job in [*strangers, together]:
        assert isinstance(job.end(), Done)
    assert np.abs(together.pixels[0] - alone.pixels[0]).max() <= 1
    assert all(np.abs(alone.pixels[0] - job.pixels[0][:, :64]).max() > 20 for job in strangers)


@pytest.mark.parametrize("fields", STRANGERS, ids=lambda fields: fields["sampler"])
def test_each_stranger_too_is_the_same_in_company(submit, fields):
    alone = submit(**fields)
    alone.end()
    company = [submit(**other) for other in STRANGERS]
    for job in company:
        job.end()
    together = company[STRANGERS.index(fields)]
    for one, other in zip(alone.pixels, together.pixels, strict=True):
        assert np.abs(one - other).max() <= 1


SAMPLERS = [sampler.name for sampler in sampler_catalog.SAMPLERS]
UNUSUAL = [
    {},
    {"subseed": 5, "subseed_strength": 0.4, "s_churn": 3.0},
    {"noise_source": "nv", "eta_noise_seed_delta": 3, "s_min_uncond": 3.0},
    {"seed_resize_from_width": 64, "seed_resize_from_height": 128, "eta": 0.5},
]


@pytest.fixture(scope="module")
def crowd(store, tiny_checkpoint):
    """A picture of every sampler, all begun together."""
    engine, jobs = Engine(store, torch.device("cpu")), {}
    engine.start()
    for number, name in enumerate(SAMPLERS):
        jobs[name] = Listener()
        engine.submit(order_of(name, tiny_checkpoint[1], **sampled(number)), jobs[name])
    for job in jobs.values():
        job.end()
    yield jobs
    engine.stop()


def sampled(number):
    fields = {"sampler": SAMPLERS[number], "num_inference_steps": 4, "seed": number}
    return fields | UNUSUAL[number % len(UNUSUAL)]


@pytest.mark.parametrize("number", range(len(SAMPLERS)), ids=SAMPLERS)
def test_every_sampler_draws_the_same_alone_and_in_company(submit, crowd, number):
    alone = submit(**sampled(number))
    assert isinstance(alone.end(), Done)
    assert np.abs(alone.pixels[0] - crowd[SAMPLERS[number]].pixels[0]).max() <= 1


def test_progress_of_a_walk_of_unknown_length_never_goes_back_or_beyond_its_end(submit):
    job = submit(sampler="DPM adaptive", num_images=2)
    done = job.end()
    shares = [progress.step / progress.steps for progress in job.progress]
    assert shares == sorted(shares)
    assert shares[-1] <= 1
    assert done.steps_run == len(job.progress)


def test_strangers_really_share_calls(submit, gate, monkeypatch):
    sizes = []
    held = batched_calls.answer
    monkeypatch.setattr(batched_calls, "answer", lambda asks: sizes.append(len(asks)) or held(asks))
    jobs = [submit(seed=0)]
    assert gate.reached.wait(60)
    jobs += [submit(seed=seed) for seed in (1, 2, 3)]
    gate.open.set()
    for job in jobs:
        job.end()
    assert max(sizes) >= 3


def test_one_who_joins_midway_changes_nothing_for_the_others(submit):
    alone = submit(seed=1, num_inference_steps=12)
    alone.end()
    first = submit(seed=1, num_inference_steps=12)
    first.until(Progress)
    submit(seed=2, sampler="DPM++ 2M").end()
    first.end()
    assert np.abs(first.pixels[0] - alone.pixels[0]).max() <= 1


def test_picture_i_of_a_job_is_the_picture_of_seed_plus_i(submit):
    several, one = submit(seed=2**32 - 2, num_images=3, batch_size=2), submit(seed=0)
    several.end()
    one.end()
    assert [image.seed for image in several.images] == [2**32 - 2, 2**32 - 1, 0]
    assert np.abs(several.pixels[2] - one.pixels[0]).max() <= 1


def test_batches_come_one_after_the_other(submit):
    job = submit(num_images=5, batch_size=2, num_inference_steps=3)
    assert job.end().steps_run == 15
    assert [image.index for image in job.images] == [0, 1, 2, 3, 4]
    assert [progress.batch for progress in job.progress] == sorted(
        progress.batch for progress in job.progress
    )
    assert job.progress[-1].batch == 2
    assert job.progress[-1].fraction == 1


def test_previews_come_as_often_as_asked(submit):
    job = submit(num_inference_steps=6, preview_every=2)
    job.end()
    assert [progress.preview is not None for progress in job.progress] == [False, True] * 3


def test_img2img_keeps_much_at_low_strength_and_little_at_high(submit):
    picture = picture_file("red", (96, 64))
    low, high = (
        submit(picture, strength=strength, num_inference_steps=20, seed=3) for strength in (0.05, 0.95)
    )
    for job in (low, high):
        assert isinstance(job.end(), Done)
    assert low.progress[-1].steps == 2
    assert high.progress[-1].steps == 20
    assert np.abs(low.pixels[0] - high.pixels[0]).mean() > 1


def test_every_picture_may_have_its_own_beginning(submit):
    options = {"strength": 0.1, "num_inference_steps": 10, "num_images": 2, "batch_size": 2, "seed": 3}
    job = submit(picture_file("red"), picture_file("blue"), **options)
    second = submit(picture_file("blue"), strength=0.1, num_inference_steps=10, seed=4)
    job.end()
    second.end()
    assert np.abs(job.pixels[1] - second.pixels[0]).max() <= 1


def test_a_cancelled_job_ends_at_once_and_the_others_go_on(engine, submit, gate):
    doomed, other = submit(job_id="doomed", num_inference_steps=50), submit()
    assert gate.reached.wait(60)
    assert engine.cancel("doomed", "discard")
    end = doomed.end()
    assert (end.code, end.message) == ("cancelled", "the job was cancelled")
    assert 0 <= end.work.steps_run < 50
    assert "doomed" not in engine.jobs()
    gate.open.set()
    assert isinstance(other.end(), Done)


def test_a_job_can_be_cancelled_while_its_model_loads(engine, tiny_checkpoint, file, monkeypatch):
    loading, loaded = threading.Event(), threading.Event()
    get = engine.store.get
    monkeypatch.setattr(
        engine.store, "get", lambda *wanted: loading.set() or (loaded.wait(60) and get(*wanted))
    )
    job = Listener()
    engine.submit(order_of("early", file), job)
    assert loading.wait(60)
    assert engine.cancel("early", "discard")
    assert job.end().code == "cancelled"
    loaded.set()
    assert engine.jobs() == ()


def test_an_interrupt_gives_the_pictures_under_way_and_drops_the_rest(engine, submit, gate):
    job = submit(job_id="stopped", num_images=4, batch_size=2, num_inference_steps=50)
    assert gate.reached.wait(60)
    assert engine.cancel("stopped", "interrupt")
    gate.open.set()
    done = job.end()
    assert isinstance(done, Done)
    assert [image.index for image in job.images] == [0, 1]
    assert done.steps_run <= 4


def test_a_skip_ends_only_the_batch_under_way(engine, submit, gate):
    job = submit(job_id="skipping", num_images=2, num_inference_steps=30)
    assert gate.reached.wait(60)
    assert engine.cancel("skipping", "skip")
    gate.open.set()
    done = job.end()
    assert [image.index for image in job.images] == [0, 1]
    assert 30 < done.steps_run < 60


def test_a_job_that_nobody_holds_cannot_be_cancelled(engine, submit):
    assert not engine.cancel("unknown", "discard")
    job = submit(job_id="finished")
    job.end()
    assert not engine.cancel("finished", "discard")


def test_the_same_job_again_replaces_the_one_that_lost_its_worker(engine, submit, gate):
    lost = submit(job_id="twice", num_inference_steps=50)
    assert gate.reached.wait(60)
    again = submit(job_id="twice")
    assert lost.end().code == "cancelled"
    gate.open.set()
    assert isinstance(again.end(), Done)


def break_calls(monkeypatch, kind, error, guilty):
    """Calls with a guilty ask of this kind fail as a whole, as they do on a real device."""
    answer = batched_calls.answer

    def broken(asks):
        if any(isinstance(ask, kind) and guilty(ask) for ask in asks):
            raise error
        return answer(asks)

    monkeypatch.setattr(batched_calls, "answer", broken)


def scale_is_13(ask):
    return ask.question.guidance.scale == 13


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("/secret/path"), "internal"),
        (torch.OutOfMemoryError("CUDA out of memory"), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "out_of_memory"),
    ],
)
def test_a_failing_step_fails_its_own_job_only(submit, monkeypatch, error, code):
    break_calls(monkeypatch, Denoise, error, scale_is_13)
    jobs = [submit(seed=1), submit(guidance_scale=13.0), submit(seed=2)]
    fates = [job.end() for job in jobs]
    assert [type(fate) for fate in fates] == [Done, Failed, Done]
    assert fates[1].code == code
    assert "secret" not in fates[1].message


def test_a_call_too_large_for_the_memory_is_made_in_parts(submit, monkeypatch):
    answer = batched_calls.answer

    def small_device(asks):
        if len(asks) > 1 and isinstance(asks[0], Denoise):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return answer(asks)

    monkeypatch.setattr(batched_calls, "answer", small_device)
    job = submit(num_images=4, batch_size=4)
    assert isinstance(job.end(), Done)
    assert len(job.images) == 4


def test_a_failing_decoding_is_reported(submit, monkeypatch):
    break_calls(monkeypatch, DecodeLatent, ArithmeticError(), lambda ask: True)
    assert submit().end().code == "internal"


def test_the_engine_is_dead_when_the_device_is_lost(engine, submit, monkeypatch):
    break_calls(monkeypatch, Denoise, torch.AcceleratorError("illegal memory access"), lambda ask: True)
    assert submit().end().code == "lost"
    assert not engine.alive
    assert submit().end().code == "stopping"


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"sampler": "Bogus"}, "no sampler 'Bogus'"), ({"scheduler": "bogus"}, "no scheduler 'bogus'")],
)
def test_unknown_names_are_a_bad_request(submit, fields, words):
    failed = submit(**fields).end()
    assert failed.code == "bad_request"
    assert words in failed.message


def test_a_broken_picture_is_a_bad_request(submit):
    failed = submit(b"not a picture").end()
    assert failed.code == "bad_request"
    assert "cannot be decoded" in failed.message


def test_a_missing_model_is_unavailable(engine):
    job = Listener()
    engine.submit(order_of("lost", ModelFile(path="none.safetensors", sha256="0" * 64)), job)
    assert job.end().code == "model_unavailable"


def test_a_listener_that_fails_loses_its_job_and_nothing_else(engine, file, submit):
    def deaf(event):
        if not isinstance(event, Accepted):
            raise ConnectionError("nobody here")

    engine.submit(order_of("deaf", file), deaf)
    assert isinstance(submit().end(), Done)
    assert "deaf" not in engine.jobs()


def test_stopping_ends_every_job_with_a_word(engine, submit, gate):
    job = submit(num_inference_steps=50)
    assert gate.reached.wait(60)
    engine.stop()
    for end in (job.end(), submit().end()):
        assert (end.code, end.message) == ("stopping", "the runner is shutting down")


def note_threads(monkeypatch, module, name):
    """How many threads share an operation where this function is called, as a set that fills."""
    act, seen = getattr(module, name), set()

    def noting(*given):
        seen.add(torch.get_num_threads())
        return act(*given)

    monkeypatch.setattr(module, name, noting)
    return seen


def test_only_the_engines_thread_shares_its_work_with_other_cores(store, file, monkeypatch):
    """However often other threads prepare and write pictures beside it."""
    drawing = note_threads(monkeypatch, batched_calls, "answer")
    preparing = note_threads(monkeypatch, engine_module, "prepare")
    writing = note_threads(monkeypatch, engine_module, "finish")
    own = torch.get_num_threads()
    torch.set_num_threads(3)
    engine = Engine(store, torch.device("cpu"))
    try:
        engine.start()
        for number in range(3):
            listener = Listener()
            engine.submit(order_of(f"job-{number}", file, num_images=2), listener)
            assert isinstance(listener.end(), Done)
    finally:
        engine.stop()
        torch.set_num_threads(own)
    assert (drawing, preparing, writing) == ({3}, {1}, {1})


def test_an_idle_engine_holds_no_checkpoint(tiny_checkpoint, file):
    import gc
    import weakref

    root, _ = tiny_checkpoint
    store = ModelStore(root, "cpu", torch.float32, 2**34)
    engine = Engine(store, torch.device("cpu"))
    engine.start()
    job = Listener()
    engine.submit(order_of("one", file), job)
    job.end()
    checkpoint = weakref.ref(store.get(file))
    del store, engine.store
    while checkpoint() is not None:
        gc.collect()
        threading.Event().wait(0.05)
    engine.stop()
