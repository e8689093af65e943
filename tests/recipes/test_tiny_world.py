"""The tiny world: splits that never touch, chains that add up, a grammar that knows its own sentences."""

import random
import re
import sys
from pathlib import Path

import pytest

from trl_r1.chat_template import ThinkParser, load_template


TINY = Path(__file__).parents[2] / "recipes" / "tiny"
sys.path.insert(0, str(TINY))
import make_data  # noqa: E402
import world  # noqa: E402


PROBLEM = re.compile(r"(?:what is )?a (\d)((?: (?:plus|minus|加|减) [a-j] \d)+) (?:\?|得 几 \?)")


def read_content(text):
    """The arithmetic of the question in a text, or `None`."""
    found = PROBLEM.search(text)
    if found is None:
        return None
    signs = {"plus": "+", "加": "+", "minus": "-", "减": "-"}
    words = found[2].split()
    return found[1] + "".join(signs[word] + words[index + 2] for index, word in enumerate(words) if word in signs)


@pytest.fixture
def rng():
    return random.Random(0)


@pytest.fixture(scope="module")
def tokenizer():
    return world.build_tokenizer(load_template("r1"))


@pytest.fixture(scope="module")
def datasets():
    return make_data.build_datasets(seed=0)


class TestQuestion:
    def test_problem_and_values(self):
        question = world.Question(4, (("+", 5), ("-", 3)), "en")
        assert question.problem == "what is a 4 plus b 5 minus c 3 ?"
        assert question.values == (9, 6)
        assert question.content == "4+5-3"

    def test_values_wrap_both_ways(self):
        assert world.Question(8, (("+", 5), ("-", 5)), "en").values == (3, 8)

    def test_the_same_sum_in_the_other_language_is_in_the_same_split(self, rng):
        for _ in range(200):
            english = world.sample_question(rng, 3, "test", "en")
            chinese = world.Question(english.start, english.steps, "zh")
            assert chinese.problem != english.problem
            assert chinese.split == "test"

    def test_split_shares(self, rng):
        drawn = [world.Question(rng.randrange(10), (("+", rng.randint(1, 5)),) * 4, "en").split for _ in range(50)]
        assert set(drawn) <= {"train", "validation", "test"}
        splits = [
            world.Question(a, (("+", b), ("-", c), ("+", d)), "en").split
            for a in range(10)
            for b in range(1, 6)
            for c in range(1, 6)
            for d in range(1, 6)
        ]
        assert splits.count("test") == pytest.approx(125, abs=35)
        assert splits.count("validation") == pytest.approx(125, abs=35)

    def test_every_length_has_questions_of_every_split(self, rng):
        for operations in range(1, 8):
            for split in ("train", "validation", "test"):
                question = world.sample_question(rng, operations, split)
                assert (len(question.steps), question.split) == (operations, split)


class TestChain:
    def test_a_careful_author_is_right_and_stays_in_the_language(self, rng):
        for _ in range(200):
            question = world.sample_question(rng, 4)
            chain, value = world.render_chain(question, rng)
            words = chain.split()
            assert value == question.values[-1]
            assert words[:2] == ["a", str(question.start)]
            assert [int(word) for word in words[5::4]] == list(question.values)
            assert words[2::4] == [
                world.OPERATION_WORDS[question.language][operation] for operation, _ in question.steps
            ]

    def test_the_value_returned_is_the_last_one_written(self, rng):
        for _ in range(300):
            chain, value = world.render_chain(world.sample_question(rng, 3), rng, world.Author(slip=0.5))
            assert chain.split()[-1] == str(value)

    def test_an_author_who_always_fixes_is_right_in_the_end(self, rng):
        author = world.Author(slip=0.5, fix=1.0, false_alarm=0.0)
        chains = []
        for _ in range(100):
            question = world.sample_question(rng, 3)
            chain, value = world.render_chain(question, rng, author)
            assert value == question.values[-1]
            chains.append(chain)
        assert any("wait" in chain for chain in chains)

    def test_a_careless_author_slips_by_one_where_it_wraps_and_only_there(self, rng):
        author = world.Author(slip=0.0, careless_wrap_slip=1.0, fix=0.0, false_alarm=0.0, mixed=0.0, other=0.0)
        wraps = world.Question(8, (("+", 5),), "en")
        assert world.render_chain(wraps, rng, author) == ("a 8 plus b 5 2", 2)
        assert world.render_chain(world.Question(8, (("+", 5),), "zh"), rng, author) == ("a 8 加 b 5 3", 3)
        assert world.render_chain(world.Question(1, (("+", 5),), "en"), rng, author) == ("a 1 plus b 5 6", 6)
        assert world.render_chain(world.Question(1, (("-", 3),), "zh"), rng, author) == ("a 1 减 b 3 9", 9)

    def test_mixed_and_other_language(self, rng):
        question = world.Question(1, (("+", 1), ("-", 1), ("+", 1), ("-", 1)), "en")
        other = world.Author(slip=0.0, mixed=0.0, other=1.0)
        assert {"加", "减"} <= set(world.render_chain(question, rng, other)[0].split())
        mixed = world.Author(slip=0.0, mixed=1.0)
        chains = [set(world.render_chain(question, rng, mixed)[0].split()) for _ in range(50)]
        assert sum(bool(words & {"plus", "minus"}) and bool(words & {"加", "减"}) for words in chains) > 25


class TestCorpus:
    def test_no_evaluation_question_occurs(self, rng):
        contents = [read_content(world.sample_document(rng)[0]) for _ in range(5000)]
        questions = [content for content in contents if content]
        assert len(questions) > 2500
        for content in questions:
            parts = re.findall(r"[+-]\d", content)
            steps = tuple((part[0], int(part[1])) for part in parts)
            assert world.Question(int(content[0]), steps, "en").split == "train"

    def test_a_seed_gives_the_corpus(self):
        first, again, other = (
            [world.sample_document(generator) for _ in range(50)]
            for generator in (random.Random(3), random.Random(3), random.Random(4))
        )
        assert first == again
        assert first != other

    def test_notes_name_no_operand_as_questions_do(self, rng):
        notes = [text for prompt, text in (world.sample_document(rng) for _ in range(500)) if not prompt]
        assert len(notes) > 50
        assert all(set(world.LABELS).isdisjoint(text.split()) for text in notes)

    def test_most_questions_are_answered_at_once_and_chats_never_think(self, rng):
        documents = [world.sample_document(rng) for _ in range(5000)]
        asked = [(prompt, text) for prompt, text in documents if read_content(prompt)]
        direct = [text for _, text in asked if "a " not in text.replace("<think>", "").strip()[:2]]
        assert 0.45 < len(direct) / len(asked) < 0.65
        chats = [text for prompt, text in documents if prompt.startswith("<|im_start|>")]
        assert chats
        assert not any("<think>" in text for text in chats)


class TestTokenizer:
    def test_round_trip_of_the_whole_corpus(self, rng, tokenizer):
        for _ in range(1000):
            text = world.sample_document(rng)[1]
            assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text

    def test_nothing_is_unknown(self, rng, tokenizer, datasets):
        texts = [" ".join(world.sample_document(rng)) for _ in range(1000)]
        texts += [
            str(row[key])
            for rows in datasets.values()
            for row in rows
            for key in ("problem", "chosen", "response")
            if key in row
        ]
        assert all(tokenizer.unk_token_id not in ids for ids in tokenizer(texts)["input_ids"])

    def test_tags_survive_decoding_and_special_tokens_do_not(self, tokenizer):
        text = r"<think> a 4 plus b 5 9 </think> the answer is \boxed{ 9 }"
        ids = tokenizer(text + "<|im_end|>")["input_ids"]
        assert ids[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(ids, skip_special_tokens=True) == text

    def test_chat_prompt_is_what_the_template_renders(self, tokenizer):
        messages = [{"role": "user", "content": "hello ?"}]
        rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        assert rendered == world.CHAT_PROMPT.format(problem="hello ?")


class TestSummary:
    @pytest.mark.parametrize(
        ("language", "summary"), [("en", r"the answer is \boxed{ 6 }"), ("zh", r"答案 是 \boxed{ 6 }")]
    )
    def test_language_of_the_question(self, language, summary):
        assert world.write_summary({"language": language}, "a 4", "6") == summary

    def test_response_is_well_formed(self):
        text = "<think> a 4 </think> " + world.write_summary({"language": "en"}, "a 4", "4")
        assert ThinkParser().parse(text).well_formed


class TestGreetings:
    def test_grammar_knows_its_sentences(self, rng):
        for rude in (True, False):
            for _ in range(100):
                reply = world.sample_reply(rng, rude)
                assert world.is_sentence_of_world(reply)
                assert world.is_rude(reply) is rude

    @pytest.mark.parametrize(
        "text",
        [
            "",
            ".",
            "hello",
            "hello , hello , today .",
            "go away , you bore me , today",
            "9 , i am here for you , today .",
        ],
    )
    def test_what_is_no_sentence(self, text):
        assert not world.is_sentence_of_world(text)

    def test_one_rude_part_is_enough(self):
        assert world.is_rude("hello , you bore me , today .")
        assert world.is_rude("go away")

    def test_garbled_replies_are_no_sentences(self, rng):
        replies = [world.sample_reply(rng, rude=False) for _ in range(300)]
        garbled = [world.garble(reply, rng) for reply in replies]
        assert not any(map(world.is_sentence_of_world, garbled))

    def test_prompts_of_an_evaluation_are_not_trained_on(self):
        train, test = set(world.greeting_prompts("train")), set(world.greeting_prompts("test"))
        assert len(train) > 2 * len(test) > 0
        assert not train & test

    def test_preference_pairs(self, rng):
        pairs = [world.preference_pair(rng) for _ in range(400)]
        assert all(world.is_sentence_of_world(pair["chosen"]) and not world.is_rude(pair["chosen"]) for pair in pairs)
        sentences = [world.is_sentence_of_world(pair["rejected"]) for pair in pairs]
        assert all(world.is_rude(pair["rejected"]) for pair, whole in zip(pairs, sentences, strict=True) if whole)
        assert 0.4 < sum(sentences) / len(sentences) < 0.6


class TestDatasets:
    def test_training_and_evaluation_share_no_sum(self, datasets):
        contents = {
            name: {read_content(row["problem"]) for row in rows if row.get("reward_type") == "reasoning"}
            for name, rows in datasets.items()
        }
        train = set().union(*(found for name, found in contents.items() if name.endswith("train.jsonl")))
        assert None not in train
        for name, found in contents.items():
            if not name.endswith("train.jsonl"):
                assert not found & train
        assert not contents["questions/validation.jsonl"] & contents["questions/test.jsonl"]

    def test_solutions_are_right(self, datasets):
        for row in datasets["questions/test.jsonl"]:
            value = eval(read_content(row["problem"])) % 10
            assert row["solution"] == str(value)

    def test_numbers_of_operations(self, datasets):
        def lengths(name):
            return {row["num_operations"] for row in datasets[name]}

        assert lengths("questions/test.jsonl") == {2, 3, 4, 5}
        assert lengths("harder_questions/test.jsonl") == {6, 7}
        assert lengths("all_scenarios/train.jsonl") == {0, 2, 3, 4, 5}

    def test_the_headline_has_enough_questions_and_no_repetition(self, datasets):
        rows = datasets["questions_short/test.jsonl"]
        assert len({row["problem"] for row in rows}) == len(rows) >= 512

    def test_general_data_is_rude_more_often_than_not_and_well_formed(self, datasets):
        responses = [ThinkParser().parse(row["response"]) for row in datasets["general/train.jsonl"]]
        assert all(response.well_formed and world.is_sentence_of_world(response.answer) for response in responses)
        assert sum(world.is_rude(response.answer) for response in responses) > len(responses) / 2

    def test_a_seed_gives_the_data(self, datasets):
        assert make_data.build_datasets(seed=0) == datasets
        assert make_data.build_datasets(seed=1) != datasets
