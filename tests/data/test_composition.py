"""One data set of several: what is left of each, in which shares, and what the table says."""

import json
import random

import pytest
from datasets import Dataset, load_dataset
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny_models import make_tokenizer
from trl_r1.data.composition import CompositionOptions, compose
from trl_r1.data.conversations import read_conversation
from trl_r1.data.domain_targets import draw_domains, plan_domains
from trl_r1.data.mixture import RawSource
from trl_r1.data.parquet_files import write_parquet
from trl_r1.errors import DataError
from trl_r1.recipe.data_set_checks import target_problems


def source(rows, name="org/rows"):
    return RawSource(name=name, split="train", dataset=Dataset.from_list(rows))


def chat(question, answer, **columns):
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": turns, "problem": question, **columns}


REASONING = [
    chat(f"{a} plus {b} ?", f"<think> {a} {b} </think> {a + b}", domain="math") for a in (1, 2) for b in (3, 4)
]
GENERAL = [{"problem": "hello", "response": "<think> greet </think> hi"}, {"problem": "go", "response": "no"}]


def test_sources_of_different_schemas_become_chats_in_order():
    made = compose([source(REASONING, "a"), source(GENERAL, "b")], CompositionOptions(source_domains={"b": "general"}))
    rows = list(made.rows())
    assert [row["messages"] for row in rows[:4]] == [row["messages"] for row in REASONING]
    assert [turn["content"] for turn in rows[4]["messages"]] == ["hello", "<think> greet </think> hi"]
    assert [row["domain"] for row in rows] == ["math"] * 4 + ["general"] * 2
    assert [row["composed_from"] for row in rows] == ["a"] * 4 + ["b"] * 2
    assert "response" not in rows[4]


def test_the_table_counts_rounds_and_tokens():
    rounds = [{"role": role, "content": "a b"} for role in ("user", "assistant", "user", "assistant")]
    made = compose(
        [source([{"messages": rounds, "domain": "chat"}, chat("a", "b c d", domain="chat")]), source(REASONING, "m")],
        CompositionOptions(),
        make_tokenizer(),
    )
    assert (made.table["chat"].samples, made.table["chat"].mean_rounds, made.table["chat"].mean_tokens) == (2, 1.5, 6)
    assert list(made.table) == ["math", "chat"]
    assert (made.total.samples, made.total.rounds) == (6, 7)
    assert made.total.tokens == sum(count.tokens for count in made.table.values())


def test_what_repeats_or_cannot_be_used_is_counted_by_source():
    again = [chat("1  plus 3 ?", "<think> 1 3 </think>   4"), {"messages": [{"role": "user", "content": "x"}]}]
    made = compose([source(REASONING, "a"), source([*again, chat("hello", "hi")], "b")], CompositionOptions())
    assert [item.dropped for item in made.describe()] == [{}, {"duplicate": 1, "last_turn_not_assistant": 1}]
    assert [item.rows_kept for item in made.describe()] == [4, 1]


def test_near_duplicates_across_sources_are_left_out_on_request():
    story = " ".join(f"word{index}" for index in range(40))
    sources = [source([chat(story, "yes")], "a"), source([chat(story + " more", "yes")], "b")]
    assert len(compose(sources, CompositionOptions())) == 2
    made = compose(sources, CompositionOptions(near_duplicate_threshold=0.8))
    assert [item.dropped for item in made.describe()] == [{}, {"near_duplicate": 1}]


def test_targets_leave_out_counted_rows_the_same_for_the_same_seed():
    rows = [chat(f"{index} ?", "it", domain="math" if index % 3 else "code") for index in range(90)]
    made = [
        compose([source(rows)], CompositionOptions(domain_targets={"code": 0.25}, seed=seed)) for seed in (1, 1, 2)
    ]
    assert {name: count.samples for name, count in made[0].table.items()} == {"math": 60, "code": 20}
    assert made[0].dropped == [{"over_target": 10}]
    assert made[0].kept == made[1].kept != made[2].kept
    assert list(made[0].kept[0]) == sorted(made[0].kept[0])


def test_texts_stay_texts_and_are_not_mixed_with_chats():
    texts = source([{"prompt": "1 + 1 =", "completion": " 2"}], "t")
    [row] = compose([texts], CompositionOptions()).rows()
    assert (row["prompt"], row["completion"]) == ("1 + 1 =", " 2")
    with pytest.raises(DataError, match="'c' holds chats and 't' texts"):
        compose([texts, source(REASONING, "c")], CompositionOptions())


def test_a_column_of_two_types_is_refused_unless_left_out():
    sources = [source([chat("a", "b", level=1)], "a"), source([chat("c", "d", level="hard")], "b")]
    with pytest.raises(DataError, match=r"columns: 'level' is .*int64.* in 'a' and .*string.* in 'b'"):
        compose(sources, CompositionOptions())
    made = compose(sources, CompositionOptions(columns=["problem"]))
    assert set(made.features()) == {"messages", "problem", "domain", "composed_from"}
    with pytest.raises(DataError, match="no data set has 'levle'"):
        compose(sources, CompositionOptions(columns=["levle"]))


def test_a_domain_may_have_any_name_but_that_of_the_sum():
    names = ["a/b", "数学", "", "|"]
    made = compose([source([chat(f"{n} ?", "x", domain=name) for n, name in enumerate(names)])], CompositionOptions())
    assert set(made.table) == {"a/b", "数学", "other", "|"}
    with pytest.raises(DataError, match="domain: a domain is called 'total'"):
        compose([source([chat("q", "a", domain="total")])], CompositionOptions())


def test_what_is_written_loads_again_with_columns_that_begin_empty(tmp_path):
    sources = [source(GENERAL, "b"), source(REASONING, "a")]
    made = compose(sources, CompositionOptions())
    (tmp_path / "train-00000-of-00002.parquet").write_bytes(b"of an earlier run")
    assert [path.name for path in write_parquet(tmp_path, made.rows(), made.features(), len(made))] == [
        "train-00000-of-00001.parquet"
    ]
    loaded = load_dataset(str(tmp_path), split="train")
    assert list(loaded) == list(made.rows())
    assert [path.name for path in tmp_path.iterdir()] == ["train-00000-of-00001.parquet"]


def test_rows_that_do_not_fit_leave_the_earlier_files(tmp_path):
    made = compose([source(REASONING)], CompositionOptions())
    write_parquet(tmp_path, made.rows(), made.features(), 4)
    before = (tmp_path / "train-00000-of-00001.parquet").read_bytes()
    with pytest.raises(DataError, match="4 rows came where 5 were counted"):
        write_parquet(tmp_path, made.rows(), made.features(), 5)
    with pytest.raises(DataError, match="do not fit"):
        write_parquet(tmp_path, [{"messages": 3}], made.features(), 1)
    assert [path.name for path in tmp_path.iterdir()] == ["train-00000-of-00001.parquet"]
    assert (tmp_path / "train-00000-of-00001.parquet").read_bytes() == before


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"messages": []}, "last_turn_not_assistant"),
        ({"messages": [{"role": "user", "content": None}, {"role": "assistant", "content": "x"}]}, "content_missing"),
        (chat("q", "  "), "completion_missing"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "prompt_missing"),
        ({"problem": " ", "response": "x"}, "prompt_missing"),
        ({"problem": "q", "response": None}, "completion_missing"),
    ],
)
def test_why_nothing_can_be_learnt_from_a_row(row, reason):
    assert read_conversation(row) == reason


def test_thoughts_beside_the_content_are_joined_to_it():
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "reasoning_content": "t"}]
    content = read_conversation({"messages": turns})
    assert content.messages[-1] == {"role": "assistant", "content": "<think>\nt\n</think>\n\na"}


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 500), min_size=1),
    st.dictionaries(st.sampled_from("abcd"), st.one_of(st.integers(0, 600), st.floats(0.01, 0.4))),
    st.one_of(st.none(), st.integers(1, 300)),
)
def test_a_plan_keeps_shares_and_limits(available, targets, max_rows):
    targets = {name: target for name, target in targets.items() if name in available}
    try:
        plan = plan_domains(available, targets, max_rows)
    except DataError:
        shared = sum(target for target in targets.values() if isinstance(target, float))
        rest = sum(
            min(rows, targets.get(name, rows))
            for name, rows in available.items()
            if not isinstance(targets.get(name), float)
        )
        assert shared > 1 or not rest or shared > 1 - 1e-9
        return
    total = sum(plan.values())
    assert all(0 <= plan[name] <= available[name] for name in available)
    assert max_rows is None or total <= max_rows
    for name, target in targets.items():
        if isinstance(target, int):
            assert plan[name] <= target
        else:
            assert abs(plan[name] - target * total) <= 1 + 1e-6


def test_shares_make_the_result_as_large_as_they_allow():
    assert plan_domains({"a": 100, "b": 1000}, {"a": 0.25, "b": 0.75}) == {"a": 100, "b": 300}
    assert plan_domains({"a": 100, "b": 30}, {"b": 0.5}) == {"a": 30, "b": 30}
    assert plan_domains({"a": 100, "b": 300}, {}, 8) == {"a": 2, "b": 6}


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"a": 0.6, "b": 0.6}, "shares of 1.2 in all"),
        ({"z": 3}, "'z' is no domain of the rows; they are of a, b"),
        ({"a": 1.0}, "leave nothing to the other domains"),
        ({"a": 0.2, "b": 0.2}, "no other domain has rows"),
    ],
)
def test_targets_that_cannot_be_met_say_why(targets, message):
    with pytest.raises(DataError, match=message):
        plan_domains({"a": 5, "b": 5}, targets)


@pytest.mark.parametrize("target", [True, "many", -1, 0.0, 1.5])
def test_a_target_is_rows_or_a_share(target):
    assert target_problems({"a": target})
    assert target_problems([target])


def test_a_domain_is_drawn_alike_whatever_stands_beside_it():
    domains = ["a"] * 20 + ["b"] * 20
    alone = draw_domains(domains[:20], {"a": 5}, None, 7)
    beside = draw_domains(domains, {"a": 5, "b": 3}, None, 7)
    assert alone == [place for place in beside if place < 20]


def test_a_hundred_orders_of_rows_give_the_same_counts():
    rows = [chat(f"{index % 7} ?", str(index % 5), domain=str(index % 3)) for index in range(60)]
    expected = {json.dumps(row["messages"]) for row in rows}
    for seed in range(20):
        shuffled = random.Random(seed).sample(rows, len(rows))
        made = compose([source(shuffled)], CompositionOptions())
        assert len(made) == len(expected)
