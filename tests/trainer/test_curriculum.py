"""Prompts by their pass rate: the order of an epoch, what training sees, the resume."""

import logging

import pytest
import torch
from datasets import Dataset
from tiny_run import make_grpo, questions, stable_logs
from trl.trainer.utils import RepeatSampler

from trl_r1.configs import R1GRPOConfig
from trl_r1.data.difficulty import PassCount, prompt_key
from trl_r1.errors import DataError, RecipeError
from trl_r1.trainer import R1GRPOTrainer


G = 4
RATES = [0.0, 1.0, None, 0.5, 0.25, 0.75, 1.0, 0.0]


def dataset(rates=RATES):
    texts = [f"user : what is {row} plus 1 ? assistant :" for row in range(len(rates))]
    return Dataset.from_dict({"prompt": texts, "pass_rate": rates})


def evens(completion_ids, **kwargs):
    return [float(sum(ids) % 2 == 0) for ids in completion_ids]


def make(folder, rates=RATES, **options):
    run = {"train_dataset": dataset(rates), "reward_funcs": [evens], **options.pop("run", {})}
    options = {"curriculum": "easy_first", "per_device_train_batch_size": 2 * G, "num_generations": G, **options}
    return make_grpo(R1GRPOTrainer, R1GRPOConfig, str(folder / "out"), run=run, **options)


def epoch(sampler):
    """Prompts of an epoch, each once, after a look at TRL's repetitions."""
    rows = list(sampler)
    size = sampler.batch_size * sampler.mini_repeat_count
    assert len(rows) == len(sampler)
    prompts = []
    for start in range(0, len(rows), size * sampler.repeat_count):
        chunks = [rows[at : at + size] for at in range(start, start + size * sampler.repeat_count, size)]
        assert all(chunk == chunks[0] for chunk in chunks)
        once = chunks[0][:: sampler.mini_repeat_count]
        assert chunks[0] == [row for row in once for _ in range(sampler.mini_repeat_count)]
        assert len(set(once)) == len(once)
        prompts += once
    return prompts


def see(trainer, counts):
    texts = trainer.train_dataset["prompt"]
    trainer._curriculum._seen.record(
        {prompt_key(texts[row]): PassCount(*pair) for row, pair in counts.items()}, trainer._curriculum._band
    )


def test_easy_prompts_come_first_and_equals_are_shuffled_anew(tmp_path):
    trainer = make(tmp_path, num_iterations=2, steps_per_generation=2, per_device_train_batch_size=G)
    sampler = trainer._get_train_sampler()
    orders = [epoch(sampler) for _ in range(6)]
    for order in orders:
        assert [-1 if RATES[row] is None else RATES[row] for row in order[:3]] == [1.0, 1.0, 0.75]
        assert {order[3], order[4]} == {2, 3}  # unknown stands at a half
        assert order[5] == 4
        assert {order[6], order[7]} == {0, 7}
    assert len({tuple(order) for order in orders}) > 1


def test_what_training_saw_wins_from_the_next_epoch_on(tmp_path):
    trainer = make(tmp_path)
    sampler = trainer._get_train_sampler()
    walk = iter(sampler)
    first = [next(walk)]
    see(trainer, {0: (4, 4), 1: (0, 4)})
    first += list(walk)
    assert first[::G][:2] in ([1, 6], [6, 1])
    order = epoch(sampler)
    assert {order[0], order[1]} == {0, 6}
    assert {order[-1], order[-2]} == {1, 7}


def test_without_any_rate_the_order_is_trls(tmp_path):
    trainer = make(tmp_path, [None] * 12)
    plain = make(tmp_path / "plain", [None] * 12, curriculum="none")
    assert list(trainer._get_train_sampler()) == list(plain._get_train_sampler())
    unshuffled = make(tmp_path, [None] * 12, shuffle_dataset=False)
    assert epoch(unshuffled._get_train_sampler()) == list(range(12))


def test_a_band_passes_over_what_is_known_to_lie_outside(tmp_path):
    trainer = make(tmp_path, curriculum="pass_rate_band", pass_rate_band=[0.25, 0.75])
    sampler = trainer._get_train_sampler()
    order = epoch(sampler)
    assert len(order) == len(RATES)  # the epoch keeps its length
    assert sorted(order) == sorted([2, 3, 4, 5] * 2)
    see(trainer, {3: (4, 4), 1: (2, 4)})
    assert set(epoch(sampler)) == {1, 2, 4, 5}


def test_a_prompt_found_outside_rests_longer_each_time_and_then_comes_again(tmp_path):
    trainer = make(tmp_path, [None] * 8, curriculum="pass_rate_band", pass_rate_band=[0.25, 0.75])
    sampler = trainer._get_train_sampler()
    drawn = []
    for number in range(13):  # row 0 is never solved, row 1 only after a failure, the others always half
        order = set(epoch(sampler))
        drawn.append(order)
        for _ in range(2):  # within an order a prompt counts once
            see(trainer, {row: (0 if row == 0 or (row == 1 and number == 0) else 2, 4) for row in order})
    assert [number for number, rows in enumerate(drawn) if 0 in rows] == [0, 2, 7]  # rests 1, then 4, then 9 orders
    assert [number for number, rows in enumerate(drawn) if 1 in rows] == [0, *range(2, 13)]


def test_a_stream_of_fresh_prompts_counts_its_own_orders(tmp_path):
    trainer = make(
        tmp_path, [None] * 8, curriculum="pass_rate_band", pass_rate_band=[0.25, 0.75], dynamic_sampling=True
    )
    fresh, texts = trainer._dynamic_sampler._fresh, trainer.train_dataset["prompt"]

    def draw(count):
        return {texts.index(row["prompt"]) for row in fresh.draw(count, set())}

    assert draw(8) == set(range(8))
    see(trainer, {0: (0, 4), 1: (4, 4)})
    assert draw(6) == set(range(2, 8))
    assert draw(8) == set(range(8))


def test_what_the_column_puts_outside_does_not_come_again(tmp_path):
    trainer = make(tmp_path, curriculum="pass_rate_band", pass_rate_band=[0.25, 0.75])
    sampler = trainer._get_train_sampler()
    for _ in range(4):
        order = set(epoch(sampler))
        assert order == {2, 3, 4, 5}
        see(trainer, dict.fromkeys(order, (2, 4)))


def test_an_epoch_is_never_empty_and_says_what_it_took(tmp_path, caplog):
    rates = [0.0, 1.0, 0.9, 0.1, 0.5]
    trainer = make(tmp_path, rates, curriculum="pass_rate_band", pass_rate_band=[0.45, 0.55])
    with caplog.at_level(logging.WARNING):
        order = epoch(trainer._get_train_sampler())
    assert "only 1 of 5 prompts are in [0.45, 0.55], of unknown pass rate or rested" in caplog.text
    assert "a rollout needs 2; the nearest 1 are taken" in caplog.text
    assert set(order) in ({4, 2}, {4, 3})


def test_fresh_prompts_of_dynamic_sampling_keep_to_the_band(tmp_path):
    trainer = make(tmp_path, curriculum="pass_rate_band", pass_rate_band=[0.25, 0.75], dynamic_sampling=True)
    texts = trainer.train_dataset["prompt"]
    drawn = [texts.index(row["prompt"]) for _ in range(3) for row in trainer._dynamic_sampler._fresh.draw(4, set())]
    assert set(drawn) == {2, 3, 4, 5}
    assert len(trainer._dynamic_sampler._fresh.draw(9, set())) == 4


def test_counts_are_those_of_the_latest_rollout(tmp_path):
    rewards = iter([[1.0, 0.5, 1.0, None, 1.0, 1.0, 1.0, 1.0], [0.0] * 4 + [None] * 4])

    def reward(completions, **kwargs):
        return next(rewards)

    def zero(completions, **kwargs):
        return [0.0] * len(completions)

    reward.__name__ = "accuracy"
    trainer = make(tmp_path, run={"reward_funcs": [zero, reward]})
    trainer.model.train()
    rows = [dict(trainer.train_dataset[row]) for row in (0, 3) for _ in range(G)]
    keys = [prompt_key(trainer.train_dataset[row]["prompt"]) for row in (0, 3)]
    trainer._generate_and_score_completions(rows)
    assert trainer._curriculum._seen.rates.to_dict() == {keys[0]: [2, 3], keys[1]: [4, 4]}
    trainer._generate_and_score_completions(rows)
    assert trainer._curriculum._seen.rates.to_dict() == {
        keys[0]: [0, 4],
        keys[1]: [4, 4],
    }  # nothing judged says nothing


@pytest.mark.parametrize("at", [3, 4, 6])  # inside the first epoch, at its end, inside the second
@pytest.mark.parametrize("options", [{}, {"curriculum": "pass_rate_band", "pass_rate_band": [0.3, 0.7]}])
def test_a_resumed_run_meets_the_same_prompts(tmp_path, at, options):
    options = {"max_steps": 9, "save_strategy": "steps", "save_steps": at, "lr_scheduler_type": "constant", **options}
    whole = make(tmp_path, [None] * 8, **options)
    whole.train()
    plain = make(tmp_path / "plain", [None] * 8, **{**options, "curriculum": "none", "pass_rate_band": None})
    plain.train()
    assert stable_logs(plain.state.log_history) != stable_logs(whole.state.log_history)  # the curriculum acted
    resumed = make(tmp_path, [None] * 8, **options)
    resumed.train(resume_from_checkpoint=str(tmp_path / "out" / f"checkpoint-{at}"))
    assert stable_logs(resumed.state.log_history) == stable_logs(whole.state.log_history)
    expected = whole.model.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in resumed.model.state_dict().items())
    assert resumed._curriculum.state_dict() == whole._curriculum.state_dict()


def test_a_second_run_of_a_trainer_starts_from_what_was_seen(tmp_path):
    trainer = make(tmp_path, [None] * 4)
    assert isinstance(trainer._get_train_sampler(), RepeatSampler)
    see(trainer, {2: (4, 4)})
    assert epoch(trainer._get_train_sampler())[0] == 2


def test_what_cannot_be_ordered_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"curriculum: easy_first reorders prompts, .* load it whole"):
        make(tmp_path, max_steps=2, run={"train_dataset": questions().to_iterable_dataset()})
    with pytest.raises(DataError, match=r"pass_rate: 1.5 in row 0 is no share"):
        make(tmp_path, [1.5, 0.5])
