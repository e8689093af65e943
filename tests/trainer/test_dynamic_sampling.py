"""Groups without signal are replaced before a step: the rollout, the books, the bounds, the resume."""

import json
import logging

import pytest
import torch
from datasets import Dataset
from tiny_run import make_arguments, make_grpo, questions, stable_logs

from trl_r1.configs import R1GRPOConfig
from trl_r1.data.difficulty import prompt_key
from trl_r1.errors import RecipeError
from trl_r1.trainer import R1GRPOTrainer
from trl_r1.trainer.dynamic_sampling import DynamicSampler
from trl_r1.trainer.fresh_prompts import FreshPrompts
from trl_r1.trainer.rollout import Rollout, RolloutCallback
from trl_r1.trainer.rounds import Round, choose_groups, merge_metrics, merge_outputs


G = 4
WORDS = [*"abcdefgh01234567"]


def prompts(kinds):
    """A prompt a kind: completions of a `live` one have different rewards, those of a `dead` one have not."""
    texts = [f"user : what is {WORDS[row // 16]} {WORDS[row % 16]} ? assistant :" for row in range(len(kinds))]
    return Dataset.from_dict({"prompt": texts, "kind": list(kinds)})


MIXED = ["dead", "live", "dead", "dead", "live"] * 12


def by_kind(kind, completion_ids, **kwargs):
    """0, 1, 0, 1 in a live group; the same in a dead one; one judged row in a lonely one."""
    values = {"live": lambda row: float(row % 2), "dead": lambda row: 0.25}
    return [values[name](row) for row, name in enumerate(kind)]


class Seen(RolloutCallback):
    """Every round's rollout."""

    def __init__(self):
        self.rounds = []

    def on_rollout(self, rollout, log_metric):
        self.rounds.append(rollout)


def make(folder, kinds=MIXED, reward=by_kind, **options):
    run = {"reward_funcs": [reward], "train_dataset": prompts(kinds), **options.pop("run", {})}
    options = {"dynamic_sampling": True, "per_device_train_batch_size": 4 * G, "num_generations": G, **options}
    trainer = make_grpo(R1GRPOTrainer, R1GRPOConfig, str(folder / "out"), run=run, **options)
    trainer.model.train()
    seen = Seen()
    trainer.add_callback(seen)
    return trainer, seen


def rows_of(trainer, numbers):
    return [dict(trainer.train_dataset[number]) for number in numbers for _ in range(G)]


def value(trainer, name):
    return trainer._metrics["train"][f"dynamic_sampling/{name}"][-1]


def tied(output):
    advantages = output["advantages"].view(-1, G)
    return (advantages.amax(dim=1) == advantages.amin(dim=1)).tolist()


def test_every_group_has_signal_and_those_that_had_it_stay(tmp_path):
    trainer, seen = make(tmp_path)
    output = trainer._generate_and_score_completions(rows_of(trainer, [0, 1, 2, 3]))
    assert len(seen.rounds) > 1
    assert tied(output) == [False] * 4
    first = seen.rounds[0]
    for row in range(G, 2 * G):  # prompt 1 was live: its group is where it was
        length = len(first.completion_ids[row])
        assert output["completion_ids"][row, :length].tolist() == first.completion_ids[row]
    texts = trainer.processing_class.batch_decode(output["prompt_ids"], skip_special_tokens=True)
    groups = [set(texts[start : start + G]) for start in range(0, 4 * G, G)]
    assert [len(group) for group in groups] == [1] * 4
    assert len(set.union(*groups)) == 4
    assert value(trainer, "groups_without_signal") == 0
    assert value(trainer, "rounds") == len(seen.rounds)


def test_a_rollout_full_of_signal_is_trls_own(tmp_path):
    made = []
    for number, dynamic in enumerate((True, False)):
        trainer, _ = make(tmp_path / str(number), ["live"] * 8, dynamic_sampling=dynamic)
        torch.manual_seed(5)
        made.append(trainer._generate_and_score_completions(rows_of(trainer, range(4))))
        metrics = trainer._metrics["train"]
        made[-1]["log"] = {name: metrics[name] for name in metrics if not name.startswith("dynamic_sampling/")}
        made[-1]["table"] = json.dumps(list(trainer._logs["prompt"]) + list(trainer._logs["completion"]))
    assert made[0].keys() == made[1].keys()
    for name, tensor in made[1].items():
        assert torch.equal(made[0][name], tensor) if isinstance(tensor, torch.Tensor) else made[0][name] == tensor


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mask_truncated_completions": True, "loss_type": "grpo"},
        {"beta": 0.1, "steps_per_generation": 2, "per_device_train_batch_size": 2 * G},
        {"num_iterations": 2, "pad_to_multiple_of": 8},
    ],
)
def test_merged_rollout_and_gradient_are_stocks_on_the_same_completions(tmp_path, options):
    trainer, seen = make(tmp_path / "own", **options)
    output = trainer._generate_and_score_completions(rows_of(trainer, [0, 1, 2, 3]))
    assert len(seen.rounds) > 1
    ids = unpadded(output, seen)
    chosen = [trainer.train_dataset["prompt"].index(text) for text in list(trainer._logs["prompt"])[-4 * G :: G]]

    def replay(texts, stock):
        given = stock.processing_class(texts)["input_ids"]
        return {"prompt_ids": given, "completion_ids": ids, "logprobs": None}

    stock, _ = make(tmp_path / "stock", dynamic_sampling=False, run={"rollout_func": replay}, **options)
    expected = stock._generate_and_score_completions(rows_of(stock, chosen))
    assert output.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(output[name], tensor, rtol=1e-5, atol=1e-6, msg=name)
    gradients = [gradient(trainer, output), gradient(stock, expected)]
    assert (gradients[0] - gradients[1]).norm() <= 2e-6 * gradients[1].norm()


def unpadded(output, seen):
    """Completion ids of each row of a merged rollout, found among those generated."""
    everything = [ids for one in seen.rounds for ids in one.completion_ids]
    found = []
    for row in output["completion_ids"].tolist():
        found.append(max((ids for ids in everything if row[: len(ids)] == ids), key=len))
    return found


def gradient(trainer, output):
    trainer.model.zero_grad()
    trainer.current_gradient_accumulation_steps = 1
    trainer._compute_loss(trainer.model, output).backward()
    return torch.cat([weight.grad.flatten() for weight in trainer.model.parameters()])


def test_tokens_of_the_loss_are_counted_over_the_rows_kept(tmp_path):
    trainer, seen = make(tmp_path, mask_truncated_completions=True, max_completion_length=5)
    output = trainer._generate_and_score_completions(rows_of(trainer, [0, 1, 2, 3]))
    everything = [
        (ids, cut) for one in seen.rounds for ids, cut in zip(one.completion_ids, one.truncated, strict=True)
    ]
    counted = 0
    for row in output["completion_ids"].tolist():
        ids, cut = max((pair for pair in everything if row[: len(pair[0])] == pair[0]), key=lambda pair: len(pair[0]))
        counted += 0 if cut else len(ids)
    assert output["num_items_in_batch"].item() == counted == output["completion_mask"].sum().item()


def test_the_books_add_up(tmp_path):
    trainer, seen = make(tmp_path)
    before = trainer.state.num_input_tokens_seen
    trained = 0
    for start in (0, 4, 8):
        output = trainer._generate_and_score_completions(rows_of(trainer, range(start, start + 4)))
        trained += int(output["completion_mask"].sum())
    totals = trainer._dynamic_sampler.totals
    lengths = [len(ids) for one in seen.rounds for ids in one.completion_ids]
    assert totals.generated_completions == len(lengths) == totals.trained_completions + totals.discarded_completions
    assert totals.trained_completions == 3 * 4 * G
    assert totals.generated_tokens == sum(lengths)
    assert totals.generated_tokens - totals.discarded_tokens == trained
    assert totals.prompts_drawn * G == totals.generated_completions - totals.trained_completions
    prompt_tokens = sum(len(text.split()) for one in seen.rounds for text in one.prompts)
    assert trainer.state.num_input_tokens_seen - before == sum(lengths) + prompt_tokens
    logged = trainer._metrics["train"]
    assert len(logged["reward"]) == len(logged["dynamic_sampling/rounds"]) == len(logged["num_tokens"]) + 2 == 3
    assert value(trainer, "discarded_tokens") == totals.discarded_tokens


def test_metrics_describe_everything_generated(tmp_path):
    trainer, seen = make(tmp_path)
    trainer._generate_and_score_completions(rows_of(trainer, range(4)))
    metrics = {name: values[-1] for name, values in trainer._metrics["train"].items()}
    lengths = torch.tensor([float(len(ids)) for one in seen.rounds for ids in one.completion_ids])
    rewards = torch.cat([one.totals for one in seen.rounds])
    assert metrics["completions/mean_length"] == pytest.approx(lengths.mean().item())
    assert metrics["completions/min_length"] == lengths.min().item()
    assert metrics["completions/max_length"] == lengths.max().item()
    assert metrics["reward"] == pytest.approx(rewards.mean().item())
    groups = rewards.view(-1, G)
    assert metrics["frac_reward_zero_std"] == pytest.approx((groups.std(dim=1) == 0).float().mean().item())


def test_metrics_of_what_is_trained_on_stand_beside_them(tmp_path):
    trainer, _ = make(tmp_path, dynamic_sampling_max_rounds=2)
    output = trainer._generate_and_score_completions(rows_of(trainer, range(4)))
    kinds = ["dead" if same else "live" for same in tied(output)]
    assert value(trainer, "trained_reward") == pytest.approx(
        sum({"live": 0.5, "dead": 0.25}[kind] for kind in kinds) / 4
    )
    assert value(trainer, "trained_mean_length") == pytest.approx(output["completion_mask"].sum().item() / (4 * G))


def test_rounds_are_bounded_and_what_lacks_is_kept_counted_and_said_once(tmp_path, caplog):
    trainer, seen = make(tmp_path, ["dead"] * 60, dynamic_sampling_max_rounds=3, drop_tied_groups=True)
    with caplog.at_level(logging.WARNING):
        output = trainer._generate_and_score_completions(rows_of(trainer, range(4)))
        trainer._generate_and_score_completions(rows_of(trainer, range(4)))
    assert len(seen.rounds) == 6
    assert value(trainer, "groups_without_signal") == 4
    assert caplog.text.count("4 groups of a rollout have no signal after 3 rounds") == 1
    assert not output["advantages"].any()
    for row, ids in enumerate(seen.rounds[0].completion_ids):  # the first round's groups
        assert output["completion_ids"][row, : len(ids)].tolist() == ids
    assert all(len(one.prompts) <= 4 * G for one in seen.rounds)


def test_a_dataset_without_other_prompts_ends_the_search(tmp_path):
    trainer, seen = make(tmp_path, ["dead"] * 4)
    trainer._generate_and_score_completions(rows_of(trainer, range(4)))
    assert len(seen.rounds) == 1
    assert value(trainer, "groups_without_signal") == 4


def test_one_round_is_stock(tmp_path):
    trainer, seen = make(tmp_path, dynamic_sampling_max_rounds=1)
    assert any(tied(trainer._generate_and_score_completions(rows_of(trainer, range(4)))))
    assert len(seen.rounds) == 1


def test_evaluation_is_left_alone(tmp_path):
    trainer, seen = make(tmp_path, num_generations_eval=G)
    trainer.model.eval()
    trainer._generate_and_score_completions(rows_of(trainer, range(4)))
    assert seen.rounds == []
    assert trainer._dynamic_sampler.totals.generated_completions == 0


def test_rows_that_take_no_part_are_no_signal(tmp_path):
    def lonely(kind, **kwargs):
        rewards = by_kind(kind, **kwargs)
        alone = {"dead": [None, None, None, 1.0], "live": None}
        return [alone[name][row % G] if alone[name] else rewards[row] for row, name in enumerate(kind)]

    trainer, seen = make(tmp_path, reward=lonely, skip_unscorable=True)
    output = trainer._generate_and_score_completions(rows_of(trainer, range(4)))
    assert len(seen.rounds) > 1
    assert tied(output) == [False] * 4
    unscorable = sum(int(one.rewards.isnan().sum()) for one in seen.rounds)
    assert trainer._metrics["train"]["unscorable_rows"] == [unscorable]


def test_the_table_holds_what_is_trained_on_in_equal_columns(tmp_path):
    def talkative(kind, log_extra, **kwargs):
        if set(kind) != {"live"}:
            log_extra("mood", list(kind))
        return by_kind(kind, **kwargs)

    kinds = ["dead", "live", "dead", "dead"] + ["live"] * 8
    trainer, _ = make(tmp_path, kinds, reward=talkative)
    for numbers in ([1, 0, 2, 3], [4, 5, 6, 7]):
        output = trainer._generate_and_score_completions(rows_of(trainer, numbers))
    table = trainer._logs
    columns = [table["prompt"], table["completion"], table["advantages"], *table["rewards"].values()]
    assert [len(column) for column in [*columns, *table["extra"].values()]] == [4 * G] * 5
    assert list(table["advantages"]) == output["advantages"].tolist()
    assert set(table["extra"]["mood"]) == {None}
    trainer._generate_and_score_completions(rows_of(trainer, [1, 0, 2, 3]))
    assert list(table["extra"]["mood"])[:G] == ["live"] * G


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"steps_per_generation": 2, "per_device_train_batch_size": 2 * G, "save_steps": 3},
        {"fast": True, "num_iterations": 2},
        {"curriculum": "easy_first"},
        {"curriculum": "pass_rate_band", "pass_rate_band": [0.1, 0.9]},
    ],
)
def test_a_resumed_run_ends_with_the_same_weights(tmp_path, options):
    options = {"max_steps": 6, "save_strategy": "steps", "save_steps": 3, "lr_scheduler_type": "constant", **options}
    whole, _ = make(tmp_path, **options)
    whole.train()
    assert whole._dynamic_sampler.totals.discarded_completions > 0
    resumed, _ = make(tmp_path, **options)
    resumed.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-3"))
    expected = whole.model.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in resumed.model.state_dict().items())
    assert stable_logs(resumed.state.log_history) == stable_logs(whole.state.log_history)
    assert resumed._dynamic_sampler.totals == whole._dynamic_sampler.totals
    if whole._curriculum is not None:
        assert resumed._curriculum.state_dict() == whole._curriculum.state_dict()


@pytest.mark.parametrize(
    ("train_dataset", "message"),
    [
        (questions().to_iterable_dataset(), "dynamic_sampling: .* load it whole"),
        (questions().add_column("image", [None] * 12), "leave image columns out"),
    ],
)
def test_data_that_cannot_work_is_refused_before_training(tmp_path, train_dataset, message):
    with pytest.raises(RecipeError, match=message):
        make(tmp_path, max_steps=2, run={"train_dataset": train_dataset})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale_rewards": "batch"}, "scale_rewards: 'batch' with dynamic_sampling"),
        ({"multi_objective_aggregation": "normalize_then_sum"}, "use 'sum_then_normalize'"),
        ({"per_device_train_batch_size": 6}, "6 x 1 steps of a rollout is no multiple of num_generations 4"),
    ],
)
def test_settings_that_contradict_it_are_refused_before_a_model_is_loaded(tmp_path, options, message):
    with pytest.raises(RecipeError, match=message):
        make_arguments(R1GRPOConfig, str(tmp_path), dynamic_sampling=True, num_generations=G, **options)


def test_half_a_group_in_a_process_is_refused(tmp_path):
    # Two processes of 2 rows make one group of 4: the settings alone look right
    trainer, _ = make(tmp_path, dynamic_sampling=False)
    trainer.args.per_device_train_batch_size = 2
    with pytest.raises(RecipeError, match=r"2 rows .* no multiple of num_generations 4"):
        DynamicSampler(trainer)


def test_fresh_prompts_are_different_seeded_and_leave_the_global_state_alone():
    dataset = prompts(["live"] * 10)
    state = torch.get_rng_state()
    stream, again = FreshPrompts(dataset, seed=3), FreshPrompts(dataset, seed=3)
    taken = {prompt_key(dataset[0]["prompt"])}
    drawn = stream.draw(6, taken)
    assert len({row["prompt"] for row in drawn}) == 6
    assert dataset[0]["prompt"] not in {row["prompt"] for row in drawn}
    assert again.draw(6, taken) == drawn
    again = FreshPrompts(dataset, seed=99)
    again.load_state_dict(stream.state_dict())
    assert [stream.draw(4, set()) for _ in range(5)] == [again.draw(4, set()) for _ in range(5)]
    assert len(stream.draw(11, taken)) == 9
    assert torch.equal(torch.get_rng_state(), state)


def test_an_epoch_of_fresh_prompts_holds_each_once():
    stream = FreshPrompts(prompts(["live"] * 12), seed=0)
    epochs = [[row["prompt"] for _ in range(4) for row in stream.draw(3, set())] for _ in range(2)]
    assert [len(set(epoch)) for epoch in epochs] == [12, 12]
    assert epochs[0] != epochs[1]


def test_groups_fill_the_places_of_their_own_process():
    signals = [
        torch.tensor([[True, False, False], [False, False, False]]),
        torch.tensor([[False, True], [True, True]]),
    ]
    chosen, lacks = choose_groups(signals)
    assert chosen == [[(0, 0), (1, 1), (0, 2)], [(1, 0), (1, 1), (0, 2)]]
    assert lacks == [1, 1]
    chosen, lacks = choose_groups([*signals, torch.tensor([[True, True], [True, True]])])
    assert chosen == [[(0, 0), (1, 1), (2, 0)], [(1, 0), (1, 1), (2, 0)]]
    assert lacks == [0, 0]


def test_metrics_of_rounds_are_weighted_by_their_rows():
    first = {"reward": [0.0], "completions/min_length": [3.0], "num_tokens": [10.0], "unscorable_rows": [1.0]}
    second = {"reward": [1.0], "completions/min_length": [2.0], "num_tokens": [14.0], "unscorable_rows": [2.0]}
    extra = {"rewards/judge/mean": [float("nan")], "a/max_x": [4.0]}
    assert merge_metrics([(12, first), (4, {**second, "only": [0.5, 1.5]})]) == {
        "reward": 0.25,
        "completions/min_length": 2.0,
        "num_tokens": 14.0,
        "unscorable_rows": 3.0,
        "only": 1.0,
    }
    merged = merge_metrics([(4, extra), (4, {"rewards/judge/mean": [0.5], "a/max_x": [9.0]})])
    assert merged == {"rewards/judge/mean": 0.5, "a/max_x": 9.0}


def fake_round(width, prompt_width, ratio=None, **others):
    """A round of one group of two rows, filled with its widths."""
    rollout = Rollout(
        step=0,
        rows=[],
        prompts=["", ""],
        completions=["", ""],
        completion_ids=[[7] * width, [7]],
        truncated=[False, False],
        rewards=torch.tensor([[0.0], [1.0]]),
        offset=0,
        num_generations=2,
        reward_names=("r",),
        reward_weights=(1.0,),
    )
    output = {
        "prompt_ids": torch.full((2, prompt_width), prompt_width),
        "prompt_mask": torch.ones(2, prompt_width, dtype=torch.long),
        "completion_ids": torch.tensor([[7] * width, [7] + [0] * (width - 1)]),
        "completion_mask": torch.tensor([[1] * width, [1] + [0] * (width - 1)]),
        "advantages": torch.tensor([-1.0, 1.0]),
        **({} if ratio is None else {"importance_sampling_ratio": torch.full((2, ratio), 2.0)}),
        **others,
    }
    return Round(output=output, rollout=rollout, signal=torch.tensor([[True]]), metrics={}, table={})


def test_rows_of_all_widths_are_merged():
    rounds = [fake_round(1, 3, ratio=1), fake_round(4, 2, ratio=4, tool_mask=torch.tensor([[1, 0, 1, 1]] * 2))]
    merged = merge_outputs(rounds, [(1, 0), (0, 1)], pad_token_id=9)
    assert merged["prompt_ids"].tolist() == [[9, 2, 2], [3, 3, 3]]
    assert merged["prompt_mask"].tolist() == [[0, 1, 1], [1, 1, 1]]
    assert merged["completion_ids"].tolist() == [[7, 7, 7, 7], [7, 9, 9, 9]]
    assert merged["completion_mask"].tolist() == [[1, 1, 1, 1], [1, 0, 0, 0]]
    assert merged["tool_mask"].tolist() == [[1, 0, 1, 1], [1, 1, 1, 1]]
    assert merged["importance_sampling_ratio"].tolist() == [[2.0, 2.0, 2.0, 2.0], [2.0, 1.0, 1.0, 1.0]]
    assert merged["advantages"].tolist() == [-1.0, 1.0]
    narrow = merge_outputs(rounds, [(1, 1), (0, 1)], pad_token_id=9)
    assert narrow["completion_ids"].tolist() == [[7], [7]]  # cut to the longest row that is kept
    assert merge_outputs(rounds, [(0, 0)], pad_token_id=9, multiple=4)["prompt_ids"].tolist() == [[9, 3, 3, 3]]


def test_ratios_of_whole_sequences_keep_their_width():
    rounds = [fake_round(2, 2, ratio=1), fake_round(3, 2, ratio=1)]
    merged = merge_outputs(rounds, [(0, 0), (1, 0)], pad_token_id=9)
    assert merged["importance_sampling_ratio"].tolist() == [[2.0], [2.0]]


def test_what_cannot_be_merged_is_named():
    with pytest.raises(ValueError, match="pixel_values: dynamic_sampling cannot merge it"):
        merge_outputs([fake_round(1, 1, pixel_values=torch.zeros(2, 3))], [(0, 0)], pad_token_id=9)
    rounds = [fake_round(1, 1), fake_round(1, 1, sampling_per_token_logps=torch.zeros(2, 1))]
    with pytest.raises(ValueError, match="sampling_per_token_logps: a round of dynamic_sampling lacks"):
        merge_outputs(rounds, [(0, 0)], pad_token_id=9)
