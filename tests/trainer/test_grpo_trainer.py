"""R1GRPOTrainer against GRPOTrainer: the same training by default; rows no reward can judge left out on request."""

import asyncio
import json
import math

import pytest
import torch
from tiny_run import length_reward, make_grpo, questions, stable_logs, token_reward
from trl import GRPOConfig, GRPOTrainer

from trl_r1.configs import R1GRPOConfig
from trl_r1.errors import RewardError
from trl_r1.trainer import R1GRPOTrainer
from trl_r1.trainer.grpo_state import GRPOState
from trl_r1.trainer.reward_errors import find_unscorable, reward_budgets


NAN = math.nan

SETTINGS = {
    "dapo": {"loss_type": "dapo"},
    "grpo with a reference": {"loss_type": "grpo", "beta": 0.04},
    "several steps a rollout": {"loss_type": "dapo", "steps_per_generation": 2, "num_iterations": 2, "beta": 0.01},
    "accumulation, refreshed reference": {
        "loss_type": "grpo",
        "beta": 0.1,
        "gradient_accumulation_steps": 2,
        "sync_ref_model": True,
        "ref_model_sync_steps": 2,
        "ref_model_mixup_alpha": 1.0,
    },
}


def train(trainer_class, config_class, folder, **options):
    completions = []

    def watching_reward(completion_ids, **kwargs):
        completions.append(completion_ids)
        return token_reward(completion_ids)

    run = {"reward_funcs": [watching_reward, length_reward]}
    trainer = make_grpo(trainer_class, config_class, str(folder / "out"), max_steps=4, run=run, **options)
    trainer.train()
    return trainer, completions


@pytest.mark.parametrize("name", SETTINGS)
def test_default_options_train_as_grpo_trainer_to_the_bit(name, tmp_path):
    theirs, their_completions = train(GRPOTrainer, GRPOConfig, tmp_path, **SETTINGS[name])
    ours, our_completions = train(R1GRPOTrainer, R1GRPOConfig, tmp_path, **SETTINGS[name])
    assert our_completions == their_completions
    assert stable_logs(ours.state.log_history) == stable_logs(theirs.state.log_history)
    assert len(stable_logs(ours.state.log_history)) == 4
    weights = theirs.model.state_dict()
    assert all(torch.equal(tensor, weights[key]) for key, tensor in ours.model.state_dict().items())


def test_every_weight_moves_and_logged_rewards_are_the_means(tmp_path):
    trainer = make_grpo(R1GRPOTrainer, R1GRPOConfig, str(tmp_path / "out"), max_steps=1, reward_weights=[1.0, 0.5])
    before = {key: tensor.clone() for key, tensor in trainer.model.named_parameters()}
    seen = []
    trainer.reward_funcs[0] = lambda completion_ids, **kwargs: seen.extend(completion_ids) or token_reward(seen)
    trainer.train()
    assert all(not torch.equal(tensor, before[key]) for key, tensor in trainer.model.named_parameters())
    row = stable_logs(trainer.state.log_history)[0]
    evenness, length = token_reward(seen), length_reward(seen)
    assert row["rewards/token_reward/mean"] == pytest.approx(sum(evenness) / 4)
    total = [first + 0.5 * second for first, second in zip(evenness, length, strict=True)]
    assert row["reward"] == pytest.approx(sum(total) / 4)
    assert row["reward_std"] == pytest.approx(torch.tensor(total).std().item())


@pytest.mark.parametrize(
    ("rewards", "expected"),
    [
        ([[1.0, 0.0], [NAN, 1.0], [0.0, 1.0]], [False, True, False]),
        ([[NAN, 0.0], [NAN, 1.0], [NAN, 1.0]], [False, False, False]),  # does not apply to this group
        ([[NAN, NAN], [NAN, 1.0], [NAN, 1.0]], [True, False, False]),
        ([[NAN, 1.0], [1.0, NAN], [NAN, NAN]], [True, True, True]),
        ([[1.0, 1.0], [0.0, 0.0], [0.5, 0.0]], [False, False, False]),
    ],
)
def test_find_unscorable_within_a_group(rewards, expected):
    untouched = [[1.0, NAN], [0.0, NAN], [1.0, NAN]]
    found = find_unscorable(torch.tensor([*untouched, *rewards]), num_generations=3)
    assert found.tolist() == [False, False, False, *expected]


class FixedReward:
    """Returns the given rewards in turn, whatever the completions."""

    __name__ = "fixed_reward"

    def __init__(self, values):
        self.values = values

    def __call__(self, completions, **kwargs):
        return self.values[: len(completions)]


def advantages_of(tmp_path, columns, training=True, **options):
    """Advantages that a trainer computes for fixed rewards, one column a reward function."""
    rewards = [FixedReward(column) for column in columns]
    rows = len(columns[0])
    options = {"per_device_train_batch_size": rows, "num_generations": 4, "skip_unscorable": True, **options}
    trainer = make_grpo(R1GRPOTrainer, R1GRPOConfig, str(tmp_path / "out"), run={"reward_funcs": rewards}, **options)
    group = trainer.num_generations if training else trainer.num_generations_eval
    trainer.model.train(training)
    inputs = [questions()[index // group] for index in range(rows)]
    batch = trainer._generate_and_score_completions(inputs)
    return batch["advantages"].tolist(), trainer._metrics["train" if training else "eval"]


@pytest.mark.parametrize("scale_rewards", ["group", "none"])
def test_an_unscorable_row_gets_no_advantage_and_does_not_move_the_others(tmp_path, scale_rewards):
    judged = [1.0, None, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0]
    other = [0.5, 0.5, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0]
    advantages, metrics = advantages_of(tmp_path, [judged, other], scale_rewards=scale_rewards)
    expected = torch.tensor([1.5, 0.0, 0.5]) - 2.0 / 3
    if scale_rewards == "group":
        expected = expected / (torch.tensor([1.5, 0.0, 0.5]).std() + 1e-4)
    assert advantages[1] == 0.0
    assert [advantages[0], *advantages[2:4]] == pytest.approx(expected.tolist())
    assert metrics["unscorable_rows"] == [1.0]
    assert metrics["rewards/fixed_reward/mean"][0] == pytest.approx(4 / 7)


def test_normalise_then_sum_leaves_the_row_out_too(tmp_path):
    judged = [1.0, None, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0]
    other = [0.5, 0.5, 0.0, 0.5, 0.0, 1.0, 0.0, 0.0]
    advantages, _ = advantages_of(tmp_path, [judged, other], multi_objective_aggregation="normalize_then_sum")
    assert advantages[1] == 0.0
    assert all(math.isfinite(value) and value != 0.0 for value in advantages[2:])


def test_a_group_nobody_could_judge_whole_has_no_advantage(tmp_path):
    first = [None, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0]
    second = [1.0, None, None, None, 0.0, 0.0, 0.0, 0.0]
    advantages, metrics = advantages_of(tmp_path, [first, second])
    assert advantages[:4] == [0.0] * 4
    assert advantages[4] != 0.0
    assert metrics["unscorable_rows"] == [4.0]


def test_a_reward_for_another_type_of_row_counts_nothing(tmp_path):
    first = [1.0, 0.0, 1.0, 0.0, None, None, None, None]
    second = [None, None, None, None, 1.0, 0.0, 0.0, 0.0]
    advantages, metrics = advantages_of(tmp_path, [first, second])
    assert all(value != 0.0 for value in advantages)
    assert metrics["unscorable_rows"] == [0.0]


def test_evaluation_uses_its_own_group_size(tmp_path):
    column = [1.0, None, None, None]
    options = {"num_generations_eval": 2, "per_device_eval_batch_size": 4}
    advantages, metrics = advantages_of(tmp_path, [column, [1.0, 0.0, 1.0, 0.0]], training=False, **options)
    # groups of two: the second holds `None` throughout, so its other reward counts; groups of four would drop it
    assert advantages[:2] == [0.0, 0.0]
    assert advantages[2] > 0.0 > advantages[3]
    assert metrics["unscorable_rows"] == [1.0]


def test_without_the_option_trl_counts_a_missing_reward_as_zero(tmp_path):
    columns = [[1.0, None, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]
    advantages, metrics = advantages_of(tmp_path, columns, skip_unscorable=False)
    assert advantages[1] < -1.0
    assert "unscorable_rows" not in metrics


def float64_advantages(columns, left_out=(), scale_rewards="group", weights=(1.0, 1.0)):
    """Advantages of one group from the formula: the rows left out are no part of it."""
    kept = [row for row in range(len(columns[0])) if row not in left_out]
    sums = [sum(weight * column[row] for weight, column in zip(weights, columns, strict=True)) for row in kept]
    mean = sum(sums) / len(sums)
    spread = math.sqrt(sum((value - mean) ** 2 for value in sums) / (len(sums) - 1))
    scale = spread + 1e-4 if scale_rewards == "group" else 1.0
    found = dict(zip(kept, [(value - mean) / scale for value in sums], strict=True))
    return [found.get(row, 0.0) for row in range(len(columns[0]))]


@pytest.mark.parametrize("scale_rewards", ["group", "none"])
@pytest.mark.parametrize(
    ("judged", "other", "left_out"),
    [
        ([1.0, None, 0.0, 0.0], [0.5, 0.5, 0.0, 0.5], [1]),
        ([1.0, 0.25, None, 0.0], [None, 0.5, 0.0, 0.5], [0, 2]),  # each function misses another row
        ([None, 0.25, 1.0, 0.0], [None, 0.5, 0.0, 0.5], [0]),  # both miss the same
    ],
)
def test_the_others_have_the_advantages_of_the_group_without_it(tmp_path, judged, other, left_out, scale_rewards):
    whole = [[1.0, 0.0, 0.0, 0.0], [0.5, 0.0, 0.5, 0.5]]  # a second group, untouched
    columns = [judged + whole[0], other + whole[1]]
    advantages, metrics = advantages_of(tmp_path, columns, scale_rewards=scale_rewards, reward_weights=[1.0, 0.3])
    options = {"scale_rewards": scale_rewards, "weights": (1.0, 0.3)}
    expected = float64_advantages([judged, other], left_out, **options) + float64_advantages(whole, **options)
    assert all(advantages[row] == 0.0 for row in left_out)
    assert advantages == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert metrics["unscorable_rows"] == [float(len(left_out))]


@pytest.mark.parametrize("aggregation", ["sum_then_normalize", "normalize_then_sum"])
def test_without_the_option_the_advantages_are_trls_own(tmp_path, aggregation):
    columns = [[1.0, None, 0.0, 0.25], [0.5, 0.5, None, 0.0]]
    found = []
    for trainer_class, config_class in ((GRPOTrainer, GRPOConfig), (R1GRPOTrainer, R1GRPOConfig)):
        run = {"reward_funcs": [FixedReward(column) for column in columns]}
        options = {"num_generations": 4, "multi_objective_aggregation": aggregation}
        trainer = make_grpo(trainer_class, config_class, str(tmp_path / "out"), run=run, **options)
        found.append(trainer._generate_and_score_completions([questions()[0]] * 4)["advantages"].tolist())
    assert found[0] == found[1]
    if aggregation == "sum_then_normalize":
        as_zeros = [[value or 0.0 for value in column] for column in columns]
        assert found[1] == pytest.approx(float64_advantages(as_zeros), rel=1e-5)


class FailsOnce:
    """Raises in every call that holds the group of the second question."""

    __name__ = "fails_once"

    def __init__(self, prompt):
        self.prompt = prompt

    def __call__(self, prompts, **kwargs):
        if self.prompt in prompts:
            raise OSError("the grader is down")
        return [float(row % 2) for row in range(len(prompts))]


def train_with_errors(tmp_path, **options):
    rows = questions()
    run = {"reward_funcs": [FailsOnce(rows[1]["prompt"]), length_reward]}
    settings = {"per_device_train_batch_size": 8, "max_steps": 2, "skip_unscorable": True, "shuffle_dataset": False}
    settings |= {"reward_error_budget": 0.6, **options}
    return make_grpo(R1GRPOTrainer, R1GRPOConfig, str(tmp_path / "out"), run=run, **settings)


def test_rows_of_a_failed_group_take_no_part_in_any_reward(tmp_path):
    trainer = train_with_errors(tmp_path)
    trainer.model.train()
    inputs = [questions()[row // 4] for row in range(8)]
    batch = trainer._generate_and_score_completions(inputs)
    assert batch["advantages"][4:].tolist() == [0.0] * 4  # although the length reward judged them
    assert trainer._metrics["train"]["unscorable_rows"] == [4.0]
    assert trainer._metrics["train"]["reward_errors/fails_once"] == [0.5]
    assert trainer._metrics["train"]["reward_errors/length_reward"] == [0.0]
    assert [(budget.name, budget.rows, budget.failed) for budget in reward_budgets(trainer)] == [
        ("fails_once", 8, 4),
        ("length_reward", 8, 0),
    ]


def test_a_run_with_errors_trains_logs_them_and_shows_them(tmp_path):
    trainer = train_with_errors(tmp_path)
    trainer.train()
    rows = stable_logs(trainer.state.log_history)
    assert rows[0]["reward_errors/fails_once"] == 0.5
    assert rows[0]["unscorable_rows"] == 4.0
    lines = (tmp_path / "out" / "reward_errors_0.jsonl").read_text().splitlines()
    assert all(json.loads(line)["prompt"] == questions()[1]["prompt"] for line in lines)
    assert len(lines) == reward_budgets(trainer)[0].failed > 0


def test_an_asynchronous_reward_may_fail_too(tmp_path):
    broken = questions()[1]["prompt"]

    async def awaited(prompts, **kwargs):
        await asyncio.sleep(0)
        if broken in prompts:
            raise OSError("the grader is down")
        return [float(row % 2) for row in range(len(prompts))]

    options = {"skip_unscorable": True, "reward_error_budget": 0.6, "per_device_train_batch_size": 8}
    run = {"reward_funcs": [awaited, length_reward]}
    trainer = make_grpo(R1GRPOTrainer, R1GRPOConfig, str(tmp_path / "out"), run=run, **options)
    batch = trainer._generate_and_score_completions([questions()[row // 4] for row in range(8)])
    assert [value != 0.0 for value in batch["advantages"].tolist()] == [True] * 4 + [False] * 4
    assert reward_budgets(trainer)[0].failed == 4


def test_a_budget_overspent_ends_the_run(tmp_path):
    with pytest.raises(RewardError, match="failed on 8 of 64 rows"):
        train_with_errors(tmp_path, reward_error_budget=0.1, max_steps=30).train()


def test_what_was_spent_before_a_stop_counts_after_it(tmp_path):
    trainer = train_with_errors(tmp_path, save_strategy="steps", save_steps=1, max_steps=1)
    trainer.train()
    spent = [(budget.rows, budget.failed) for budget in reward_budgets(trainer)]
    resumed = train_with_errors(tmp_path, save_strategy="steps", save_steps=1, max_steps=1)
    GRPOState.load(tmp_path / "out" / "checkpoint-1", 0, 1).restore(resumed)
    assert [(budget.rows, budget.failed) for budget in reward_budgets(resumed)] == spent != [(0, 0), (0, 0)]


def test_the_card_of_a_finished_stage_is_left_alone(tmp_path):
    trainer = make_grpo(R1GRPOTrainer, R1GRPOConfig, str(tmp_path / "out"))
    card = tmp_path / "out" / "README.md"
    trainer.create_model_card(model_name="draft")
    assert "2501.12948" in card.read_text()
    card.write_text("ours")
    (card.parent / "stage.json").write_text("{}")
    trainer.create_model_card(model_name="draft")
    assert card.read_text() == "ours"
