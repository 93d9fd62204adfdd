"""The engine: events, batching, cancellation and failures of jobs."""

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
from gpu_runner.protocol import Accepted, Done, Failed, ModelFile
from tests.support.event_listener import Listener, image_file, order_of

pytestmark = pytest.mark.slow


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
    """Blocks the next denoising call until ``gate.open`` is set; ``gate.reached`` is set while it is blocked."""

    class Gate:
        def __init__(self):
            self.reached, self.open = threading.Event(), threading.Event()

        def __call__(self, operations):
            if any(isinstance(operation, Denoise) for operation in operations):
                self.reached.set()
                assert self.open.wait(60)
            return execute(operations)

    execute, gate = batched_calls.execute, Gate()
    monkeypatch.setattr(batched_calls, "execute", gate)
    yield gate
    gate.open.set()


def test_a_job_emits_accepted_progress_image_and_done(submit):
    job = submit(num_inference_steps=6, seed=4)
    done = job.end()
    assert [type(event).__name__ for event in job.events] == ["Accepted", *["Progress"] * 6, "Image", "Done"]
    assert [progress.step for progress in job.progress] == [1, 2, 3, 4, 5, 6]
    assert {progress.steps for progress in job.progress} == {6}
    assert (job.images[0].seed, job.images[0].width, job.images[0].height) == (4, 64, 64)
    assert done.steps_run == 6
    assert 0 < done.device_seconds <= done.engine_seconds


def test_progress_of_an_adaptive_sampler_is_monotonic_and_at_most_1(submit):
    job = submit(sampler="DPM adaptive", num_images=2)
    done = job.end()
    shares = [progress.step / progress.steps for progress in job.progress]
    assert shares == sorted(shares)
    assert shares[-1] <= 1
    assert done.steps_run == len(job.progress)


def test_steps_of_different_jobs_share_device_calls(submit, gate, monkeypatch):
    sizes = []
    gated = batched_calls.execute
    monkeypatch.setattr(
        batched_calls, "execute", lambda operations: sizes.append(len(operations)) or gated(operations)
    )
    jobs = [submit(seed=0)]
    assert gate.reached.wait(60)
    jobs += [submit(seed=seed) for seed in (1, 2, 3)]
    gate.open.set()
    for job in jobs:
        job.end()
    assert max(sizes) >= 3


def test_image_i_of_a_job_has_the_seed_plus_i(submit):
    several, one = submit(seed=2**32 - 2, num_images=3, batch_size=2), submit(seed=0)
    several.end()
    one.end()
    assert [image.seed for image in several.images] == [2**32 - 2, 2**32 - 1, 2**32]
    # torch's CPU generator uses the lowest 32 bits.
    assert np.abs(several.pixels[2] - one.pixels[0]).max() <= 1


def test_sides_from_48_are_drawn(submit):
    job = submit(width=48, height=56)
    job.end()
    assert job.pixels[0].shape[:2] == (56, 48)


def test_batches_of_a_job_run_one_after_the_other(submit):
    job = submit(num_images=5, batch_size=2, num_inference_steps=3)
    assert job.end().steps_run == 15
    assert [image.index for image in job.images] == [0, 1, 2, 3, 4]
    assert [progress.batch for progress in job.progress] == sorted(
        progress.batch for progress in job.progress
    )
    assert job.progress[-1].batch == 2
    assert job.progress[-1].fraction == 1


def test_previews_are_sent_every_preview_every_steps(submit):
    job = submit(num_inference_steps=6, preview_every=2)
    job.end()
    assert [progress.preview is not None for progress in job.progress] == [False, True] * 3


def test_strength_controls_steps_and_change_of_an_img2img_image(submit):
    init_image = image_file("red", (96, 64))
    low, high = (
        submit(init_image, strength=strength, num_inference_steps=20, seed=3) for strength in (0.05, 0.95)
    )
    for job in (low, high):
        assert isinstance(job.end(), Done)
    assert low.progress[-1].steps == 2
    assert high.progress[-1].steps == 20
    assert np.abs(low.pixels[0] - high.pixels[0]).mean() > 1


def test_sd_upscale_denoises_each_tile_and_joins_them(submit):
    tiled = {"width": 128, "height": 96, "upscaler": "Lanczos", "overlap": 8}
    options = {"strength": 0.5, "num_inference_steps": 4, "width": 64, "height": 64, "seed": 3}
    job = submit(image_file("red", (64, 48)), tiled=tiled, **options)
    end = job.end()
    assert job.pixels[0].shape == (96, 128, 3)
    one = submit(image_file("red", (64, 64)), **options)
    one.end()
    steps = one.progress[-1].steps * 6
    assert (job.progress[-1].steps, job.progress[-1].step, end.steps_run) == (steps, steps, steps)
    assert np.abs(job.pixels[0][:32, :32] - one.pixels[0][:32, :32]).max() <= 1  # of the first tile only


def test_every_image_may_have_its_own_init_image(submit):
    options = {"strength": 0.1, "num_inference_steps": 10, "num_images": 2, "batch_size": 2, "seed": 3}
    job = submit(image_file("red"), image_file("blue"), **options)
    second = submit(image_file("blue"), strength=0.1, num_inference_steps=10, seed=4)
    job.end()
    second.end()
    assert np.abs(job.pixels[1] - second.pixels[0]).max() <= 1


def test_a_cancelled_job_ends_at_once_and_other_jobs_continue(engine, submit, gate):
    cancelled, other = submit(job_id="cancelled", num_inference_steps=50), submit()
    assert gate.reached.wait(60)
    assert engine.cancel("cancelled", "discard")
    end = cancelled.end()
    assert (end.code, end.message) == ("cancelled", "the job was cancelled")
    assert 0 <= end.work.steps_run < 50
    assert "cancelled" not in engine.jobs()
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


def test_an_interrupt_keeps_the_images_of_the_current_batch_and_starts_no_other(engine, submit, gate):
    job = submit(job_id="stopped", num_images=4, batch_size=2, num_inference_steps=50)
    assert gate.reached.wait(60)
    assert engine.cancel("stopped", "interrupt")
    gate.open.set()
    done = job.end()
    assert isinstance(done, Done)
    assert [image.index for image in job.images] == [0, 1]
    assert done.steps_run <= 4


def test_a_skip_ends_the_current_batch_only(engine, submit, gate):
    job = submit(job_id="skipping", num_images=2, num_inference_steps=30)
    assert gate.reached.wait(60)
    assert engine.cancel("skipping", "skip")
    gate.open.set()
    done = job.end()
    assert [image.index for image in job.images] == [0, 1]
    assert 30 < done.steps_run < 60


def test_an_unknown_or_finished_job_cannot_be_cancelled(engine, submit):
    assert not engine.cancel("unknown", "discard")
    job = submit(job_id="finished")
    job.end()
    assert not engine.cancel("finished", "discard")


def test_a_job_submitted_again_replaces_its_running_attempt(engine, submit, gate):
    lost = submit(job_id="twice", num_inference_steps=50)
    assert gate.reached.wait(60)
    again = submit(job_id="twice")
    assert lost.end().code == "cancelled"
    gate.open.set()
    assert isinstance(again.end(), Done)


def break_calls(monkeypatch, kind, error, fails):
    """Make every call fail that contains an operation of this kind for which ``fails`` is true."""
    execute = batched_calls.execute

    def broken(operations):
        if any(isinstance(operation, kind) and fails(operation) for operation in operations):
            raise error
        return execute(operations)

    monkeypatch.setattr(batched_calls, "execute", broken)


def scale_is_13(operation):
    return operation.input.guidance.scale == 13


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
    ends = [job.end() for job in jobs]
    assert [type(end) for end in ends] == [Done, Failed, Done]
    assert ends[1].code == code
    assert "secret" not in ends[1].message


def test_a_batch_that_runs_out_of_memory_is_split(submit, monkeypatch):
    execute = batched_calls.execute

    def small_device(operations):
        if len(operations) > 1 and isinstance(operations[0], Denoise):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return execute(operations)

    monkeypatch.setattr(batched_calls, "execute", small_device)
    job = submit(num_images=4, batch_size=4)
    assert isinstance(job.end(), Done)
    assert len(job.images) == 4


def test_a_failing_decode_fails_the_job(submit, monkeypatch):
    break_calls(monkeypatch, DecodeLatent, ArithmeticError(), lambda operation: True)
    assert submit().end().code == "internal"


def test_the_engine_ends_when_the_device_is_lost(engine, submit, monkeypatch):
    break_calls(monkeypatch, Denoise, torch.AcceleratorError("illegal memory access"), lambda operation: True)
    assert submit().end().code == "lost"
    assert not engine.alive
    assert submit().end().code == "stopping"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sampler": "Bogus"}, "unknown sampler 'Bogus'"),
        ({"scheduler": "bogus"}, "unknown scheduler 'bogus'"),
    ],
)
def test_unknown_samplers_and_schedulers_are_bad_requests(submit, fields, message):
    failed = submit(**fields).end()
    assert failed.code == "bad_request"
    assert message in failed.message


def test_an_undecodable_image_is_a_bad_request(submit):
    failed = submit(b"not an image").end()
    assert failed.code == "bad_request"
    assert "cannot be decoded" in failed.message


def test_a_missing_model_file_fails_the_job_with_model_unavailable(engine):
    job = Listener()
    engine.submit(order_of("lost", ModelFile(path="none.safetensors", sha256="0" * 64)), job)
    assert job.end().code == "model_unavailable"


def test_an_event_callback_that_fails_ends_its_own_job_only(engine, file, submit):
    def disconnected(event):
        if not isinstance(event, Accepted):
            raise ConnectionError("disconnected")

    engine.submit(order_of("disconnected", file), disconnected)
    assert isinstance(submit().end(), Done)
    assert "disconnected" not in engine.jobs()


def test_stopping_fails_every_job_with_the_code_stopping(engine, submit, gate):
    job = submit(num_inference_steps=50)
    assert gate.reached.wait(60)
    engine.stop()
    for end in (job.end(), submit().end()):
        assert (end.code, end.message) == ("stopping", "the runner is shutting down")


def record_threads(monkeypatch, module, name):
    """Record torch's number of threads at each call of this function, in the returned set."""
    original, seen = getattr(module, name), set()

    def recording(*given):
        seen.add(torch.get_num_threads())
        return original(*given)

    monkeypatch.setattr(module, name, recording)
    return seen


def test_only_the_engine_thread_uses_several_cores(store, file, monkeypatch):
    """Threads that prepare requests and encode images use one core each."""
    engine_threads = record_threads(monkeypatch, batched_calls, "execute")
    preparation_threads = record_threads(monkeypatch, engine_module, "prepare")
    encoding_threads = record_threads(monkeypatch, engine_module, "finish")
    default_threads = torch.get_num_threads()
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
        torch.set_num_threads(default_threads)
    assert (engine_threads, preparation_threads, encoding_threads) == ({3}, {1}, {1})


def test_an_idle_engine_keeps_no_reference_to_a_checkpoint(tiny_checkpoint, file):
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
