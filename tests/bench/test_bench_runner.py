"""The bench itself: it cannot hang, it calls a reward as TRL does, and it says what went wrong."""

import os
import subprocess
import sys
import threading
import time

import pytest

from trl_r1.bench import KINDS, Case, Problem, Row, Want, cases_of, kind_of, run_bench
from trl_r1.bench.case import RIGHT, UNJUDGED, WRONG, single, thought
from trl_r1.errors import R1Error
from trl_r1.rewards import accuracy_reward, format_reward


SEVEN = single("contract/seven", thought("7"), RIGHT, "it is seven", honest=True, solution="7")
EIGHT = single("contract/eight", thought("8"), WRONG, "it is not seven", solution="7")


def ends_with_seven(completions, **kwargs):
    return [float(text.endswith("7")) for text in completions]


@pytest.mark.parametrize("kind", KINDS)
def test_the_corpus_is_in_order(kind):
    cases = cases_of(kind)
    names = [case.name for case in cases]
    assert len(set(names)) == len(names)
    assert all(name.startswith(f"{kind}/") for name in names)
    assert all(case.why and "\n" not in case.why and len(case.why) < 100 for case in cases)
    assert all(isinstance(row.want, Want) for case in cases for row in case.rows)
    assert any(case.honest and not case.has_messages for case in cases)
    assert any(not case.honest for case in cases)


def test_the_corpus_is_large():
    assert len([case for kind in KINDS for case in cases_of(kind)]) > 300


@pytest.mark.parametrize(
    ("want", "score", "problem"),
    [
        (RIGHT, 1.0, None),
        (RIGHT, 0.5, Problem.FALSE_ALARM),
        (WRONG, 0.5, Problem.FALSE_POSITIVE),
        (WRONG, None, Problem.UNSCORED),
        (UNJUDGED, None, None),
        (UNJUDGED, 0.0, Problem.GUESSED),
        (Want(none=None), None, None),
        (Want(0.2, 0.4), 0.3, None),
        (Want(high=0.4), 0.5, Problem.FALSE_POSITIVE),
        (Want(above=1), 0.5, Problem.FALSE_ALARM),
        (Want(above=1), 0.6, None),
        (Want(like=1), 0.6, Problem.FALSE_POSITIVE),
        (Want(like=1), 0.4, Problem.FALSE_ALARM),
        (Want(like=1), 0.5, None),
        (Want(like=1, within=0.2), 0.6, None),
        (Want(unlike=1), 0.5, Problem.FALSE_POSITIVE),
        (Want(unlike=1), 0.6, None),
        (Want(unlike=1, within=0.2), 0.6, Problem.FALSE_POSITIVE),
    ],
)
def test_a_want_judges_a_score(want, score, problem):
    assert want.problem(score, [score, 0.5]) is problem


def test_a_good_reward_passes():
    report = run_bench(ends_with_seven, "contract", cases=[SEVEN, EIGHT])
    assert report.passed
    assert [result.scores for result in report.results] == [(1.0,), (0.0,), (1.0, 0.0)]
    assert report.summary == "ends_with_seven (contract): 3 of 3 cases as wanted"


def test_a_bad_reward_is_shown():
    report = run_bench(lambda completions, **kwargs: [1.0] * len(completions), "contract", cases=[SEVEN, EIGHT])
    assert not report.passed
    assert report.counts == {"false positive": 1}
    assert report.summary.endswith("2 of 3 cases as wanted; 1 false positive")
    shown = report.to_text()
    assert "contract/eight" in shown
    assert "it is not seven" in shown
    assert "contract/seven" not in shown
    assert "contract/seven" in report.to_text(all_cases=True)


@pytest.mark.parametrize("isolation", ["process", "thread"])
def test_a_reward_that_sleeps_does_not_hang_the_bench(isolation):
    def sleeps(completions, **kwargs):
        time.sleep(600 if completions[0].endswith("8") else 0)
        return [1.0] * len(completions)

    begun = time.perf_counter()
    report = run_bench(sleeps, "contract", cases=[EIGHT, SEVEN], seconds=2, isolation=isolation)
    assert time.perf_counter() - begun < 60
    assert [result.fault for result in report.results] == ["it did not return within 2 s", ""]
    assert report.counts == {"broken": 1}


def test_what_a_reward_starts_is_killed_with_it(tmp_path):
    def starts_a_child(completions, **kwargs):
        child = os.fork()
        if child == 0:
            time.sleep(600)
            os._exit(0)
        if completions[0].endswith("8"):
            (tmp_path / "pid").write_text(str(child))
            time.sleep(600)
        return [1.0] * len(completions)

    run_bench(starts_a_child, "contract", cases=[EIGHT], seconds=1, isolation="process")
    child = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if not alive(child):
            return
        time.sleep(0.1)
    pytest.fail("the child lives on")


def test_a_reward_does_not_outlive_a_bench_that_is_killed(tmp_path):
    script = tmp_path / "bench.py"
    script.write_text(
        "import os, time\nfrom trl_r1.bench import run_bench\n\n\n"
        "def waits(completions, **kwargs):\n"
        f"    open({str(tmp_path / 'pid')!r}, 'w').write(f'{{os.getpid()}} ')\n    time.sleep(600)\n\n\n"
        "run_bench(waits)\n"
    )
    with subprocess.Popen([sys.executable, str(script)]) as bench:
        deadline = time.monotonic() + 120
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().endswith(" "):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        bench.kill()
    child = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if not alive(child):
            return
        time.sleep(0.1)
    pytest.fail("the reward lives on")


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_reward_that_ends_the_process_is_one_failure():
    def exits(completions, **kwargs):
        if completions[0].endswith("8"):
            os._exit(3)
        return [1.0] * len(completions)

    report = run_bench(exits, "contract", cases=[EIGHT, SEVEN], isolation="process")
    assert [result.fault for result in report.results] == ["it ended the process (exit code 3)", ""]


def test_the_bench_gives_up_on_a_reward_that_always_hangs():
    def hangs(completions, **kwargs):
        time.sleep(600 if completions[0].endswith("8") else 0)
        return [1.0] * len(completions)

    cases = [single(f"contract/{n}", thought(f"{n}8"), WRONG, "it hangs", solution="7") for n in range(9)]
    report = run_bench(hangs, "contract", cases=cases, seconds=0.2, isolation="thread")
    assert report.counts == {"broken": 9}
    assert report.results[-1].fault == "not run: 5 cases before it overran or ended the process"


def test_it_calls_a_reward_as_the_trainer_does():
    seen = []

    def reward(prompts, completions, completion_ids, solution, trainer_state, log_extra, log_metric, **kwargs):
        seen.append((prompts, completions, completion_ids, solution, trainer_state.global_step, sorted(kwargs)))
        log_extra("note", ["said"])
        log_extra("lock", [threading.Lock()])  # nothing that pickles
        log_metric("share", 0.5)
        return [0.5]

    assert run_bench(reward, "contract", cases=[SEVEN], isolation="process").counts == {"false alarm": 1}
    report = run_bench(reward, "contract", cases=[SEVEN], isolation="thread")
    prompts, completions, ids, solution, step, others = seen[-1]
    assert completions == [thought("7")]
    assert isinstance(prompts[0], str)
    assert len(ids[0]) > 3
    assert (solution, step, others) == (["7"], 0, ["problem"])
    assert "0.5 (said)" in report.to_text()


def test_a_reward_for_messages_gets_messages():
    def reward(completions, **kwargs):
        return [float(completion[0]["content"].endswith("7")) for completion in completions]

    report = run_bench(reward, "contract", cases=[SEVEN, EIGHT], isolation="thread")
    assert report.passed


def test_a_reward_for_text_is_not_blamed_for_messages():
    message = single("contract/message", [{"role": "assistant", "content": "7"}], RIGHT, "a message", solution="7")
    report = run_bench(ends_with_seven, "contract", cases=[SEVEN, message], isolation="thread")
    assert report.passed
    assert report.left_out == {"contract/message": "the reward takes no messages"}


def test_columns_and_scale_can_be_the_users_own():
    def reward(completions, answer, **kwargs):
        return [1.0 if text.endswith(gold) else -1.0 for text, gold in zip(completions, answer, strict=True)]

    cases = [SEVEN, EIGHT]
    report = run_bench(reward, "contract", cases=cases, columns={"solution": "answer"}, wrong=-1, isolation="thread")
    assert report.passed
    missing = run_bench(reward, "contract", cases=cases, isolation="thread")
    assert "it needs the column 'answer'; the cases have problem, solution" in missing.results[0].fault


def test_a_score_must_not_depend_on_other_groups():
    def shares(completions, **kwargs):
        return [1.0 / len(completions)] * len(completions)

    report = run_bench(shares, "contract", cases=[SEVEN, single("contract/x", thought("7"), RIGHT, "y", solution="7")])
    assert [result.case.name for result in report.failures] == ["contract/together:solution"]


def test_a_group_keeps_its_own_prompt_in_the_common_batch():
    prompts = []

    def reward(prompts_seen=prompts, **kwargs):
        prompts_seen.append(kwargs["prompts"])
        return [1.0] * len(kwargs["completions"])

    group = Case("contract/group", tuple(Row(thought("7"), RIGHT, {"solution": "7"}) for _ in range(3)), "a group")
    run_bench(reward, "contract", cases=[SEVEN, group], isolation="thread")
    assert [len(set(batch)) for batch in prompts if len(batch) == 4] == [2]


def test_kinds_are_known_or_told():
    def own(completions, **kwargs):
        return [0.0] * len(completions)

    assert (kind_of(accuracy_reward), kind_of(format_reward), kind_of(own)) == ("accuracy", "format", "contract")
    own.bench_kind = "format"
    assert kind_of(own) == "format"
    with pytest.raises(R1Error, match="kind: 'acuracy' is unknown; use one of accuracy"):
        run_bench(own, "acuracy")
    with pytest.raises(R1Error, match="there is no case 'format/nowhere'"):
        run_bench(own, without=["format/nowhere"])


def test_a_reward_of_one_language_gets_cases_of_that_language():
    report = run_bench({"get_language_consistency_reward": {"target_language": "zh"}}, isolation="thread")
    assert report.passed, report.to_text()
    assert report.left_out["language/honest_english"] == "the reward's language is zh"
    assert any(result.case.name == "language/honest_chinese" for result in report.results)
