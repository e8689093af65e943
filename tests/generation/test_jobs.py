"""Jobs: what is kept, what is refused, and that any history of launches ends with the same samples."""

import json
import logging
import multiprocessing
import os
import shutil
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from seeded_engine import SeededEngine

from trl_r1.errors import DataError, GenerationError, R1Error
from trl_r1.generation import SamplingParameters
from trl_r1.generation.jobs import BatchStep, GenerationJob, locking, rank_and_world, shares
from trl_r1.generation.jobs.progress import JobProgress


PROMPTS = [f"what is {'9' * (index % 7)}{index} 加 1 ?" for index in range(12)]
PARAMS = SamplingParameters(num_samples=3, batch_size=5, max_new_tokens=8, logprobs=True, seed=7)
SCHEMA = pa.schema([("value", pa.int64())])


def make_job(folder, engine=None, params=PARAMS, prompts=PROMPTS, **share):
    return GenerationJob(folder, prompts, params, engine or SeededEngine(), **share)


@pytest.fixture
def expected():
    return SeededEngine().generate(PROMPTS, PARAMS)


def made(job):
    return [completions for _, completions in job.groups()]


def test_a_job_gives_what_the_engine_gives(tmp_path, expected):
    job = make_job(tmp_path)
    job.run()
    assert made(job) == expected
    assert [number for number, _ in job.groups()] == list(range(len(PROMPTS)))
    rows = [row for batch in job.plan for row in batch.rows]
    assert [row for index in range(len(job.plan)) for row, _ in job.samples(index)] == rows
    assert [(row["prompt"], row["sample"]) for row in job.dataset()] == rows


def test_a_second_launch_draws_nothing_again(tmp_path, expected):
    make_job(tmp_path).run()
    engine = SeededEngine()
    job = make_job(tmp_path, engine)
    job.run()
    assert engine.drawn == 0
    assert made(job) == expected


def test_the_number_of_processes_may_change(tmp_path, expected):
    for rank in (2, 1):
        make_job(tmp_path, rank=rank, world_size=3).run()
    engine = SeededEngine()
    job = make_job(tmp_path, engine)
    job.run()
    assert engine.drawn == 3  # batches 0, 3 and 6 of 8
    assert made(job) == expected


def test_a_summary_counts_all_launches(tmp_path, expected):
    make_job(tmp_path, SeededEngine(seconds=0.01), rank=1, world_size=2).run()
    job = make_job(tmp_path)
    job.run()
    flat = [completion for group in expected for completion in group]
    summary = job.summary()
    assert summary.num_prompts == 12
    assert summary.num_completions == 36
    assert summary.num_tokens == sum(completion.num_tokens for completion in flat)
    assert summary.num_truncated == sum(completion.finish_reason == "length" for completion in flat) > 0
    assert summary.seconds >= 0.04


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"params": SamplingParameters(num_samples=3, batch_size=5, temperature=0.7)}, ["params.temperature is 0.7"]),
        ({"engine": SeededEngine("other")}, ["engine.model.name is 'other', there 'seeded'"]),
        ({"prompts": [*PROMPTS[:-1], "another ?"]}, ["prompts.sha256"]),
        ({"prompts": PROMPTS[:-1]}, ["prompts.number is 11, there 12"]),
    ],
)
def test_the_folder_of_another_job_is_refused_by_name(tmp_path, change, named):
    make_job(tmp_path, rank=1, world_size=2).run()
    with pytest.raises(R1Error, match="holds samples of another job") as caught:
        make_job(tmp_path, **change)
    for words in [*named, "set these back", "output_dir"]:
        assert words in str(caught.value)


def test_a_damaged_file_is_made_again_and_said(tmp_path, expected, caplog):
    make_job(tmp_path).run()
    for index, content in enumerate([b"", b"PAR1 and no more"]):
        (tmp_path / "samples" / f"{index:08}.parquet").write_bytes(content)
    engine = SeededEngine()
    job = make_job(tmp_path, engine)
    with caplog.at_level(logging.WARNING):
        job.run()
    assert engine.drawn == 2
    assert [record.message.endswith("it is made again") for record in caplog.records] == [True, True]
    assert made(job) == expected


def test_a_changed_byte_is_never_read_as_a_sample(tmp_path):
    job = make_job(tmp_path)
    job.run()
    path = tmp_path / "samples" / "00000002.parquet"
    content = bytearray(path.read_bytes())
    for place in range(30, 60):
        content[place] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"00000002\.parquet.*delete it"):
        job.samples(2)


def test_a_file_of_another_job_or_batch_is_refused(tmp_path):
    make_job(tmp_path / "one").run()
    make_job(tmp_path / "other", SeededEngine("other"), rank=1, world_size=2).run()
    samples = tmp_path / "other" / "samples"
    (samples / "00000000.parquet").write_bytes((tmp_path / "one" / "samples" / "00000000.parquet").read_bytes())
    with pytest.raises(DataError, match=r"00000000\.parquet: is of another job"):
        make_job(tmp_path / "other", SeededEngine("other")).run()
    (samples / "00000000.parquet").write_bytes((samples / "00000001.parquet").read_bytes())
    with pytest.raises(DataError, match=r"00000000\.parquet: is of another job or batch"):
        make_job(tmp_path / "other", SeededEngine("other")).run()


def test_failed_batches_do_not_stop_the_others(tmp_path, expected):
    job = make_job(tmp_path, SeededEngine(failing=[0, 4]))
    with pytest.raises(GenerationError) as caught:
        job.run()
    assert caught.value.count == 6
    assert caught.value.total == 36
    assert "the server answers 500 (6 times)" in str(caught.value)
    engine = SeededEngine()
    job = make_job(tmp_path, engine)
    job.run()
    assert 0 < engine.drawn < len(job.plan)
    assert made(job) == expected


def test_an_engine_that_gives_fewer_samples_is_refused(tmp_path):
    engine = SeededEngine()
    whole = engine.generate_batch
    engine.generate_batch = lambda prompts, rows, params, seed: whole(prompts, rows, params, seed)[1:]
    with pytest.raises(GenerationError, match="the engine gave 4 samples for 5"):
        make_job(tmp_path, engine).run()


def test_left_over_parts_are_cleaned_and_never_read(tmp_path, expected):
    job = make_job(tmp_path)
    folder = tmp_path / "samples"
    folder.mkdir()
    (folder / ".00000001.parquet.0123.partial").write_bytes(b"half a file")
    job.run()
    assert not list(folder.glob(".*"))
    assert made(job) == expected


def test_half_a_surrogate_pair_is_kept_as_a_replacement(tmp_path):
    engine = SeededEngine()
    complete = engine._complete
    engine._complete = lambda seed, params: complete(seed, params).__class__(
        text="a\ud800b \U0001f600", token_ids=(), finish_reason="stop", usage_tokens=3
    )
    job = make_job(tmp_path, engine)
    job.run()
    first = made(job)[0][0]
    assert (first.text, first.token_ids, first.num_tokens, first.logprobs) == ("a\ufffdb \U0001f600", (), 3, None)


def test_chats_are_prompts_too(tmp_path):
    engine = SeededEngine()
    engine.prompt_lengths = lambda prompts: [len(prompt[0]["content"]) for prompt in prompts]
    engine.generate_batch = lambda prompts, rows, params, seed: [engine._complete(1, params) for _ in rows]
    chats = [[{"role": "user", "content": "hello"}], [{"role": "user", "content": "go away"}]]
    job = make_job(tmp_path, engine, prompts=chats)
    job.run()
    assert len(made(job)) == 2


def test_no_prompt_is_an_error(tmp_path):
    with pytest.raises(DataError, match="prompts: there is none"):
        make_job(tmp_path, prompts=[])
    assert not list(tmp_path.iterdir())


def test_steps_of_other_settings_are_kept_apart(tmp_path):
    for bonus in (0, 100):
        step = BatchStep(tmp_path, "judged", SCHEMA, 3, identity={"bonus": bonus})
        step.run(lambda index, bonus=bonus: [{"value": index + bonus}])
    first = BatchStep(tmp_path, "judged", SCHEMA, 3, identity={"bonus": 0})
    first.run(lambda index: pytest.fail("it is there already"))
    assert [row["value"] for row in first.dataset()] == [0, 1, 2]
    assert [row["value"] for row in step.dataset()] == [100, 101, 102]


def test_a_step_may_leave_rows_out_or_have_none(tmp_path):
    step = BatchStep(tmp_path, "kept", SCHEMA, 3)
    step.run(lambda index: [{"value": index}] * (index % 2))
    assert [row["value"] for row in step.dataset()] == [1]
    empty = BatchStep(tmp_path, "none", SCHEMA, 0)
    empty.run(lambda index: pytest.fail("there is no batch"))
    empty.wait()
    assert len(empty.dataset()) == 0


def test_rank_and_world():
    assert rank_and_world({}) == (0, 1)
    assert rank_and_world({"RANK": "1", "WORLD_SIZE": "4"}) == (1, 4)
    for wrong in ({"RANK": "4", "WORLD_SIZE": "4"}, {"WORLD_SIZE": "two"}, {"RANK": "-1", "WORLD_SIZE": "2"}):
        with pytest.raises(R1Error, match="RANK, WORLD_SIZE"):
            rank_and_world(wrong)


HOLDER = """
import sys, time
from pathlib import Path
from trl_r1.generation.jobs.locking import hold_share
hold_share(Path(sys.argv[1]), 0)
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds share 0 of the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_launch_in_one_folder_is_refused(tmp_path, holder, monkeypatch):
    monkeypatch.setattr(locking, "PATIENCE", 0.1)
    with pytest.raises(R1Error, match=rf"another launch \(process {holder.pid} on "):
        make_job(tmp_path)
    assert not (tmp_path / "job.json").exists()
    make_job(tmp_path, rank=1, world_size=2)  # another share


def test_the_lock_of_a_killed_process_blocks_nobody(tmp_path, holder):
    holder.kill()
    make_job(tmp_path).run()


def test_a_process_whose_launcher_is_gone_is_waited_for(tmp_path, holder, caplog):
    path = tmp_path / ".lock-0"
    content = json.loads(path.read_text())
    gone = subprocess.Popen(["true"])
    gone.wait()
    path.write_text(json.dumps({**content, "launcher": gone.pid}))
    ends = multiprocessing.get_context("fork").Process(target=lambda: (time.sleep(0.3), os.kill(holder.pid, 9)))
    ends.start()
    with caplog.at_level(logging.WARNING):
        make_job(tmp_path)
    ends.join()
    assert "whose launcher is gone" in caplog.text


def test_a_worker_without_its_launcher_stops(tmp_path, monkeypatch):
    monkeypatch.setenv(locking.LAUNCHER_VARIABLE, "none")
    job = make_job(tmp_path)
    shares.share_of(tmp_path, 0, 1)._launcher = os.getppid() + 1
    with pytest.raises(R1Error, match="its launcher is gone"):
        job.run()


def other_process(folder, rank, world_size, engine, prompts=PROMPTS):
    """A process of its own that does a share and ends."""

    def work():
        try:
            make_job(folder, engine, prompts=prompts, rank=rank, world_size=world_size).run()
        except GenerationError:
            os._exit(0)
        finally:
            shares.end_share(folder)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    return process


def test_what_the_other_made_is_counted_though_it_is_a_step_further(tmp_path, caplog):
    job = make_job(tmp_path, rank=0, world_size=2)
    shares.share_of(tmp_path, 0, 2)

    def two_steps():
        make_job(tmp_path, rank=1, world_size=2).run()
        BatchStep(tmp_path, "next", SCHEMA, 8, rank=1, world_size=2).run(lambda index: [{"value": index}])
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=two_steps)
    process.start()
    process.join()  # all of its batches are there when the first process begins
    with caplog.at_level(logging.INFO, "trl_r1"):
        job.run(progress=True)
    assert "are there already" not in caplog.text
    assert "samples: 36 of 36" in caplog.text


def test_the_first_process_waits_for_the_second(tmp_path, expected):
    job = make_job(tmp_path, rank=0, world_size=2)
    shares.share_of(tmp_path, 0, 2)  # has begun when the other comes
    process = other_process(tmp_path, 1, 2, SeededEngine(seconds=0.05))
    job.run()
    job.wait()
    process.join()
    assert made(job) == expected


def test_failures_of_another_process_are_counted_by_the_first(tmp_path):
    job = make_job(tmp_path, SeededEngine(failing=[0, 4]), rank=0, world_size=2)
    shares.share_of(tmp_path, 0, 2)
    process = other_process(tmp_path, 1, 2, SeededEngine(failing=[0, 4]))
    with pytest.raises(GenerationError) as caught:
        job.run()
    process.join()
    assert caught.value.count == 6
    assert caught.value.total == 36


def test_a_killed_process_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(shares, "BEAT_SECONDS", 0.05)
    job = make_job(tmp_path, rank=0, world_size=2)
    shares.share_of(tmp_path, 0, 2)
    process = other_process(tmp_path, 1, 2, SeededEngine(kill_at=1))
    with pytest.raises(R1Error, match=r"process 1 was killed, and 3 of its 4 batches of samples are missing"):
        job.run()
    process.join()
    assert process.exitcode == -9


def test_a_process_that_never_comes_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(shares, "ABSENT_SECONDS", 0.1)
    with pytest.raises(R1Error, match="process 1 never came, and 4 of its 4 batches"):
        make_job(tmp_path, rank=0, world_size=2).run()


def test_the_first_process_sees_the_others_leave(tmp_path):
    job = make_job(tmp_path, rank=0, world_size=2)
    share = shares.share_of(tmp_path, 0, 2)
    process = other_process(tmp_path, 1, 2, SeededEngine())
    job.run()
    assert share.why_gone(1, waited=0.0) in (None, "has ended")  # it says so when it leaves
    share.wait_for_others()
    process.join(timeout=5)
    assert not process.is_alive()
    assert share.why_gone(1, waited=0.0) == "has ended"


def test_a_folder_deleted_by_the_first_process_is_no_fault_of_the_second(tmp_path):
    share = shares.share_of(tmp_path / "job", 1, 2)
    shutil.rmtree(tmp_path / "job")
    share.tell()
    assert not (tmp_path / "job").exists()
    locking.hold_share(tmp_path / "job", 1)  # a new one is held anew
    assert (tmp_path / "job" / ".lock-1").is_file()


def test_a_process_that_waits_for_itself_is_told(tmp_path):
    with pytest.raises(R1Error, match="process 0 has not run its share"):
        make_job(tmp_path).wait()


@pytest.mark.parametrize("moment", ["before rename", "after rename", "before fsync"])
def test_a_kill_around_the_rename_loses_and_repeats_nothing(tmp_path, expected, moment, monkeypatch):
    real_replace, real_fsync = os.replace, os.fsync
    kill = lambda: os.kill(os.getpid(), 9)  # noqa: E731

    def work():
        from pathlib import Path

        calls = {"replace": 0}

        def replace(self, target):
            if Path(target).suffix == ".parquet":
                calls["replace"] += 1
                if calls["replace"] == 3 and moment == "before rename":
                    kill()
            real_replace(self, target)
            if calls["replace"] == 3 and moment == "after rename":
                kill()

        def fsync(descriptor):
            if calls["replace"] == 2 and moment == "before fsync":
                kill()
            real_fsync(descriptor)

        Path.replace, os.fsync = replace, fsync
        make_job(tmp_path).run()

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    assert process.exitcode == -9
    there = len(list((tmp_path / "samples").glob("*.parquet")))
    assert there == (3 if moment == "after rename" else 2)
    engine = SeededEngine()
    job = make_job(tmp_path, engine)
    job.run()
    assert engine.drawn == len(job.plan) - there
    assert made(job) == expected


def test_progress_counts_this_launch_only(tmp_path, caplog):
    now = [0.0]
    with (
        caplog.at_level(logging.INFO, "trl_r1"),
        JobProgress("samples", 100, 40, file=tmp_path / "progress.json", clock=lambda: now[0]) as progress,
    ):
        now[0] = 10.0
        assert progress.describe(20, 500) == "2.0 samples/s, 50 tokens/s, 0:20 left"
        progress.show(20, 500)
        assert json.loads((tmp_path / "progress.json").read_text())["step"] == 60
        assert "2.0 samples/s" not in caplog.text
        now[0] = 31.0
        progress.show(31, 500)
        assert "samples: 71 of 100, 1.0 samples/s" in caplog.text
    assert not (tmp_path / "progress.json").exists()


def test_many_batches_are_read_by_footer_only_once(tmp_path):
    step = BatchStep(tmp_path, "many", SCHEMA, 90)
    step.run(lambda index: [{"value": index}])
    assert step.columns(89, "value").column_names == ["value"]
    again = BatchStep(tmp_path, "many", SCHEMA, 90, rank=0, world_size=3)
    assert list(again._missing()) == []
    assert len(again._done) == 30


def test_every_file_names_its_job(tmp_path):
    job = make_job(tmp_path)
    job.run()
    marks = {pq.read_schema(path).metadata[b"trl_r1.job"] for path in (tmp_path / "samples").glob("*.parquet")}
    assert len(marks) == len(job.plan)
