"""Two checkpoints' evaluations side by side: what is found, what is refused, and the command."""

import json
import shutil

import pytest
import torch
import yaml
from tiny_models import make_model

from trl_r1.cli import main as cli
from trl_r1.data import write_jsonl
from trl_r1.errors import DataError, R1Error
from trl_r1.evaluation import compare
from trl_r1.evaluation.checkpoint_comparison import compare_checkpoints, verdict_of
from trl_r1.evaluation.paired import compare_paired
from trl_r1.evaluation.protocols import protocol_differences, protocol_notes
from trl_r1.evaluation.reports import comparison_table
from trl_r1.evaluation.sample_files import write_samples
from trl_r1.scripts.evaluate import main as evaluate
from trl_r1.stage_record import read_stage_record


PROBLEMS = [f"what is {a} plus {b} ?" for a in range(5) for b in range(8)]
# Of 80 pairs of seeds (0 to 159) of the stronger policy, 7 have a p below .05: 8.8 %, interval 4.3 to 17 %. One of
# them, p .0001, is 0 and 1, so the copy is asked with another seed.
COPY_SEED = 2
ANSWER = "<think> so </think> the answer is 5 <|im_end|>"


def teach(tokenizer, folder, steps):
    """A policy that more or less often says what is right here; the more steps, the more often."""
    model = make_model(tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    shown = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": problem}], add_generation_prompt=True, tokenize=False
        )
        for problem in PROBLEMS[:8]
    ]
    batch = tokenizer([text + ANSWER for text in shown], return_tensors="pt", padding=True)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    length = len(tokenizer(ANSWER)["input_ids"])
    for row in range(len(shown)):
        labels[row, : int(batch["attention_mask"][row].sum()) - length] = -100
    for _ in range(steps):
        model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, tokenizer):
    """Evaluations of one policy, a better one, and a copy of that one asked with another seed."""
    root = tmp_path_factory.mktemp("evaluated")
    policies = {"weak": teach(tokenizer, root / "weak", 14), "strong": teach(tokenizer, root / "strong", 26)}
    policies["copy"] = str(shutil.copytree(policies["strong"], root / "copy"))
    rows = [{"problem": problem, "solution": "5"} for problem in PROBLEMS]
    write_jsonl(root / "questions" / "test.jsonl", rows)
    for name, checkpoints, seed in (("both", ["weak", "strong"], 0), ("again", ["copy"], COPY_SEED)):
        recipe = {
            "output_dir": str(root / name),
            "checkpoints": [{"name": each, "path": policies[each]} for each in checkpoints],
            "suites": [
                {
                    "name": "sums",
                    "dataset_name": str(root / "questions"),
                    "modes": {"sampled": {"num_samples": 4, "temperature": 1.0}},
                }
            ],
            "max_completion_length": 12,
            "seed": seed,
        }
        (root / f"{name}.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
        assert evaluate(["--config", str(root / f"{name}.yaml")]) == 0
    return root


def accuracy_of(comparison):
    [row] = [row for row in comparison.rows if row.metric == "accuracy"]
    return row


def test_the_difference_that_is_there_is_found(evaluated):
    row = accuracy_of(compare_checkpoints(evaluated / "both", before="weak", after="strong"))
    assert row.result.difference > 0.1
    assert row.result.low > 0
    assert row.p_adjusted < 0.01
    assert row.p_adjusted >= row.result.p_value
    assert row.verdict == "strong is better"
    assert row.result.better + row.result.worse + row.result.equal == len(PROBLEMS)


def test_between_two_copies_none_is_found(evaluated):
    found = compare_checkpoints(evaluated / "both", evaluated / "again", before="strong")
    row = accuracy_of(found)
    assert row.result.better + row.result.worse > 0  # another seed: they answered otherwise
    assert row.result.low < 0 < row.result.high
    assert row.verdict.startswith("no difference seen; compared alone, these questions can only show one of ")
    assert not any(row.p_adjusted < 0.05 for row in found.rows)
    assert "Both have the same weights." in found.notes


def test_the_command_prints_what_was_found(evaluated, capsys):
    both, again = str(evaluated / "both"), str(evaluated / "again")
    assert cli(["compare", both, "--before", "weak", "--after", "strong", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert {row["metric"] for row in content["rows"]} >= {"accuracy", "chain_tokens"}
    assert cli(["compare", both, again, "--before", "strong", "--markdown", "--metrics", "accuracy", "pass@2"]) == 0
    text = capsys.readouterr().out
    assert "### strong -> copy" in text
    assert "| sums | sampled | pass@2 | no difference seen" in text
    assert cli(["compare", both, "--before", "weak", "--after", "strong"]) == 0
    assert "strong is better" in capsys.readouterr().out


def test_names_that_are_missing_or_unknown_are_told(evaluated, capsys):
    both = evaluated / "both"
    with pytest.raises(R1Error, match=r"before: .* holds weak, strong; say which"):
        compare_checkpoints(both)
    with pytest.raises(R1Error, match=r"after: 'strog' was not measured in .*; did you mean 'strong'"):
        compare_checkpoints(both, before="weak", after="strog")
    with pytest.raises(R1Error, match="both are 'weak'"):
        compare_checkpoints(both, before="weak", after="weak")
    assert cli(["compare", str(both), str(both), str(both)]) == 2
    assert cli(["compare", str(both), str(evaluated)]) == 2
    assert "some are evaluations and some are not" in capsys.readouterr().err
    assert cli(["compare", str(evaluated), "--json"]) == 2
    assert "--json: it is for evaluations" in capsys.readouterr().err


def changed(evaluated, tmp_path, change):
    """The evaluation of the copy as it would be of another protocol."""
    folder = shutil.copytree(evaluated / "again", tmp_path / "changed")
    path = folder / "stage.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content["evaluations"][0])
    path.write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda record: record.update(system_prompt="Be kind."), "system_prompt None and 'Be kind.'"),
        (lambda record: record["sampling"].update(temperature=0.6), "temperature 1.0 and 0.6"),
        (lambda record: record["versions"].update({"math-verify": "0.0.1"}), "math-verify '.*' and '0.0.1'"),
        (lambda record: record.update(verifier="code"), "verifier .* and 'code'"),
        (lambda record: record["data"].update(fingerprint="f" * 64), "the questions, .* and ffffffffffff"),
    ],
)
def test_another_protocol_is_refused_and_compared_anyway(evaluated, tmp_path, change, said):
    folder = changed(evaluated, tmp_path, change)
    with pytest.raises(R1Error, match=f"another protocol: sums / sampled: {said}.*--anyway"):
        compare_checkpoints(evaluated / "both", folder, before="strong")
    found = compare_checkpoints(evaluated / "both", folder, before="strong", anyway=True)
    assert len(found.protocol_differences) == 1
    assert "Compared anyway, though not alike" in comparison_table(found).caption


def test_seeds_numbers_of_answers_and_fields_of_other_versions_are_no_other_protocol():
    one = {
        "suite": "s",
        "mode": "m",
        "sampling": {"seed": 0, "num_samples": 4, "temperature": 1.0},
        "verifier": "math",
    }
    other = {"suite": "s", "mode": "m", "sampling": {"seed": 1, "num_samples": 8, "temperature": 1.0}, "data": None}
    assert list(protocol_differences(one, other)) == []


def rows_of(values, start=0):
    return [
        {
            "question": place,
            "sample": 0,
            "question_id": f"题 {place + start}",
            "problem": "same",
            "metrics": {"accuracy": value},
        }
        for place, value in enumerate(values)
    ]


def test_two_files_of_answers_are_compared_without_records(tmp_path):
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for path, values in zip(paths, ([False] * 12 + [True] * 8, [True] * 20), strict=True):
        write_samples(path, rows_of(values))
    found = compare_checkpoints(*paths)
    assert accuracy_of(found).verdict == "b is better"
    assert "Files of answers do not say how they were made" in found.notes[0]
    with pytest.raises(R1Error, match="name a second one"):
        compare_checkpoints(paths[0])


def test_other_questions_are_refused_and_those_of_both_compared_anyway(tmp_path):
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for start, path in enumerate(paths):
        write_samples(path, rows_of([True, False, True, True], start))
    with pytest.raises(DataError, match="2 questions are not in both"):
        compare_checkpoints(*paths)
    row = accuracy_of(compare_checkpoints(*paths, anyway=True))
    assert (row.result.num_questions, row.left_out) == (3, 2)
    write_samples(paths[1], rows_of([True], 99))
    with pytest.raises(DataError, match="questions are not in both"):
        compare_checkpoints(*paths, anyway=True)


def test_clusters_are_those_of_whichever_file_names_them(tmp_path):
    def write(name, right, cluster):
        rows = rows_of([right(place) for place in range(40)])
        write_samples(tmp_path / name, [{**row, "cluster": cluster(place)} for place, row in enumerate(rows)])
        return tmp_path / name

    named = write("named.parquet", lambda place: place % 3 == 0, lambda place: str(place // 10))
    bare = write("bare.parquet", lambda place: place % 2 == 0, lambda place: None)
    one, other = (accuracy_of(compare_checkpoints(*pair)).result for pair in ((named, bare), (bare, named)))
    assert one.num_clusters == other.num_clusters == 4
    assert one.p_value == pytest.approx(other.p_value)
    changed = write("changed.parquet", lambda place: True, lambda place: str(place // 20))
    with pytest.raises(DataError, match="a question is of cluster '0' there and of '1'"):
        compare_checkpoints(named, changed)
    assert accuracy_of(compare_checkpoints(named, changed, anyway=True)).result.num_clusters == 4


def test_what_is_left_out_is_said(tmp_path):
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for count, path in zip((40, 20), paths, strict=True):
        write_samples(path, rows_of([place % 2 == 0 for place in range(count)]))
    caption = comparison_table(compare_checkpoints(*paths, anyway=True)).caption
    assert "accuracy: 20 questions are left out" in caption


def test_a_file_is_compared_with_no_folder(evaluated):
    samples = evaluated / "again" / "samples-copy-sums-sampled.parquet"
    with pytest.raises(R1Error, match="one is a file and one is not"):
        compare_checkpoints(samples, evaluated / "both", after="weak")


def test_what_may_be_a_checkpoints_own_way_is_said_and_so_is_what_a_record_does_not_say(evaluated):
    [record] = read_stage_record(evaluated / "again").evaluations
    assert list(protocol_notes([(record, record)])) == []
    other = {**record, "response_format": "plain", "engine": {**record["engine"], "dtype": "bfloat16"}}
    assert list(protocol_notes([(record, other)])) == [
        f"The two were measured with another response_format: {record['response_format']!r} and 'plain'.",
        "The two were measured with another engine: dtype 'float32' and 'bfloat16'.",
    ]
    silent = {name: value for name, value in record.items() if name not in ("sampling", "verifier")}
    [note] = protocol_notes([(record, silent)])
    assert note == "The record of the second does not say its verifier, sampling: not checked."
    trained_on = {**record, "engine": {**record["engine"], "weights_sha256": "f" * 64, "model": "elsewhere"}}
    assert list(protocol_notes([(record, trained_on)])) == []


def test_the_function_names_a_metric_that_nobody_measured(evaluated):
    samples = evaluated / "again" / "samples-copy-sums-sampled.parquet"
    with pytest.raises(DataError, match=r"metrics: 'acuracy': .* did you mean 'accuracy'"):
        compare(samples, samples, ["acuracy"])


def test_a_metric_that_nobody_measured_is_refused(tmp_path):
    path, other = tmp_path / "a.parquet", tmp_path / "b.parquet"
    write_samples(path, rows_of([True, False]))
    write_samples(other, rows_of([True, True]))
    with pytest.raises(R1Error, match=r"metrics: 'polite': not measured of both; use accuracy, .*pass@k or cons@k"):
        compare_checkpoints(path, other, metrics=["polite", "accuracy"])
    with pytest.raises(R1Error, match=r"metrics: 'acuracy': .*did you mean 'accuracy'"):
        compare_checkpoints(path, other, metrics=["acuracy"])
    with pytest.raises(R1Error, match="metrics: none applies"):
        compare_checkpoints(path, other, metrics=["pass@2"])


def test_answers_of_another_evaluation_than_the_records_are_refused(evaluated, tmp_path):
    """An evaluation that was begun anew with other settings and killed leaves its answers beside the old record."""
    folder = shutil.copytree(evaluated / "both", tmp_path / "both")
    shutil.copy(
        evaluated / "again" / "samples-copy-sums-sampled.parquet", folder / "samples-weak-sums-sampled.parquet"
    )
    with pytest.raises(R1Error, match=r"samples-weak-sums-sampled\.parquet: these are not the answers of the record"):
        compare_checkpoints(folder, before="weak", after="strong")


def test_verdicts_in_words():
    up = compare_paired({n: [0] for n in range(20)}, {n: [n % 4 > 0] for n in range(20)})
    assert verdict_of("accuracy", "a", "b", up, None) == "b is better"
    assert verdict_of("cons@4", "a", "b", up, None) == "b is better"
    assert verdict_of("chain_tokens", "a", "b", up, None) == "b is higher"
    assert verdict_of("accuracy", "a", "b", up, 0.2).startswith("no difference that stands among so many comparisons")
    same = compare_paired({n: [1] for n in range(20)}, {n: [1] for n in range(20)})
    assert verdict_of("accuracy", "a", "b", same, None) == "no difference seen; one of up to 0.161 could hide"
    lone = compare_paired({0: [1]}, {0: [0]})
    assert verdict_of("accuracy", "a", "b", lone, None) == "cannot say: all questions are one cluster"


def test_the_command_holds_an_evaluation_beside_what_is_published(evaluated, tmp_path, capsys):
    def of_a_benchmark(record):
        record.update(benchmark={"name": "live_code_bench"})
        record["sampling"].update(temperature=0.6, top_p=0.95, max_new_tokens=32768)

    folder = str(changed(evaluated, tmp_path, of_a_benchmark))
    assert cli(["compare", folder, "--published", "DeepSeek-R1-Distill-Qwen-7B", "--json"]) == 0
    rows = {row["number"]["collection"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert rows["distilled_students"]["verdict"].startswith("differs by")
    assert rows["distilled_students"]["protocol_differences"] == ["4 answers a question against 8"]
    assert cli(["compare", folder, "--published", "deepseek-r1-distill-qwen-7b", "--markdown"]) == 0
    assert r"| live\_code\_bench | accuracy | open\_r1\_lighteval | differs by" in capsys.readouterr().out
    assert cli(["compare", str(evaluated / "both"), "--published", "deepseek-r1"]) == 2
    assert "measured no benchmark; `trl-r1 benchmarks` lists them" in capsys.readouterr().err
    assert cli(["compare", str(evaluated / "both"), "--published", "deepseek-r2"]) == 2
    assert "nothing is published of 'deepseek-r2' that we know; did you mean" in capsys.readouterr().err


def test_a_benchmark_of_ones_own_has_no_published_number(evaluated, tmp_path, capsys):
    folder = str(changed(evaluated, tmp_path, lambda record: record.update(benchmark={"name": "mine"})))
    assert cli(["compare", folder, "--published", "deepseek-r1"]) == 2
    assert "--published: nothing is published of 'deepseek-r1' on mine" in capsys.readouterr().err
