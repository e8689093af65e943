"""R1GRPOTrainer against GRPOTrainer: the same training by default; rows no reward can judge left out on request."""

import math

import pytest
import torch
from tiny_run import length_reward, make_grpo, questions, stable_logs, token_reward
from trl import GRPOConfig, GRPOTrainer

from trl_r1.configs import R1GRPOConfig
from trl_r1.trainer import R1GRPOTrainer
from trl_r1.trainer.grpo_trainer import find_unscorable


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


def test_the_card_of_a_finished_stage_is_left_alone(tmp_path):
    trainer = make_grpo(R1GRPOTrainer, R1GRPOConfig, str(tmp_path / "out"))
    card = tmp_path / "out" / "README.md"
    trainer.create_model_card(model_name="draft")
    assert "2501.12948" in card.read_text()
    card.write_text("ours")
    (card.parent / "stage.json").write_text("{}")
    trainer.create_model_card(model_name="draft")
    assert card.read_text() == "ours"
