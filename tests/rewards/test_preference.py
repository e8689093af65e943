"""The preference reward around a tiny random classifier."""

import pickle

import pytest
import torch
from random_reward_model import save_reward_model
from transformers import Qwen3ForSequenceClassification, TrainerState

from trl_r1.errors import RewardError
from trl_r1.rewards import get_preference_reward


@pytest.fixture(scope="module")
def reward_model(tokenizer, tmp_path_factory):
    """Folder of a random reward model."""
    return save_reward_model(tokenizer, tmp_path_factory.mktemp("reward_model"))


PROMPTS = ["hello friend ?", "what is a ?", "hello ?"]
COMPLETIONS = ["<think> so </think> hello friend", "<think> the answer </think> go away", "<think> so"]


def logit(folder, tokenizer, prompt, reply):
    """What the model says of a conversation, computed apart."""
    model = Qwen3ForSequenceClassification.from_pretrained(folder)
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": reply}]
    ids = tokenizer.apply_chat_template(messages, return_tensors="pt", return_dict=True)["input_ids"]
    with torch.no_grad():
        return model(ids).logits[0, 0].item()


def test_helpfulness_reads_the_answer_without_the_thoughts(reward_model, tokenizer):
    scores = get_preference_reward(reward_model, batch_size=2)(COMPLETIONS, PROMPTS)
    answers = ["hello friend", "go away", ""]  # no answer is an empty reply, not an exemption
    expected = [logit(reward_model, tokenizer, *pair) for pair in zip(PROMPTS, answers, strict=True)]
    assert scores == pytest.approx(expected, abs=1e-5)
    assert len({round(score, 4) for score in scores}) == 3


def test_harmlessness_reads_the_whole_response(reward_model, tokenizer):
    scores = get_preference_reward(reward_model, reward_type="harmless")(COMPLETIONS, PROMPTS)
    expected = [logit(reward_model, tokenizer, *pair) for pair in zip(PROMPTS, COMPLETIONS, strict=True)]
    assert scores == pytest.approx(expected, abs=1e-5)


def test_rows_of_another_type_are_not_scored(reward_model):
    reward = get_preference_reward(reward_model)
    scores = reward(COMPLETIONS, PROMPTS, reward_type=["helpful", "reasoning", None])
    assert [score is None for score in scores] == [False, True, True]
    assert reward(COMPLETIONS, PROMPTS, reward_type=["reasoning"] * 3) == [None] * 3


def test_messages_and_the_problem_column(reward_model):
    reward = get_preference_reward(reward_model)
    text = reward(COMPLETIONS[:1], PROMPTS[:1])
    message = [[{"role": "assistant", "content": COMPLETIONS[0]}]]
    assert reward(message, [[{"role": "user", "content": PROMPTS[0]}]]) == text
    assert reward(COMPLETIONS[:1], ["a template around it"], problem=PROMPTS[:1]) == text


def test_a_row_scores_the_same_in_any_batch(reward_model):
    one = get_preference_reward(reward_model, batch_size=1)(COMPLETIONS, PROMPTS)
    assert get_preference_reward(reward_model, batch_size=3)(COMPLETIONS, PROMPTS) == pytest.approx(one, abs=1e-5)


def test_names_tell_the_types_apart_and_it_pickles_without_its_model(reward_model):
    reward = get_preference_reward(reward_model, reward_type="harmless")
    before = reward(COMPLETIONS, PROMPTS)
    data = pickle.dumps(reward)
    assert len(data) < 1000
    copy = pickle.loads(data)
    assert copy.__name__ == "harmless_preference_reward"
    assert copy(COMPLETIONS, PROMPTS) == before


def test_a_model_that_does_not_load_and_bad_parameters(tmp_path):
    with pytest.raises(RewardError, match="does not load as a reward model"):
        get_preference_reward(str(tmp_path / "nothing"))(COMPLETIONS, PROMPTS)
    with pytest.raises(RewardError, match="'answer' or 'response'"):
        get_preference_reward("x", reads="thoughts")
    with pytest.raises(RewardError, match="batch_size"):
        get_preference_reward("x", batch_size=0)


def test_scale_sigmoid_is_the_logit_squashed(reward_model):
    logits = get_preference_reward(reward_model)(COMPLETIONS, PROMPTS)
    squashed = get_preference_reward(reward_model, scale="sigmoid")(COMPLETIONS, PROMPTS)
    assert squashed == pytest.approx(torch.tensor(logits).sigmoid().tolist(), abs=1e-6)
    with pytest.raises(RewardError, match="scale: 'tanh' is unknown"):
        get_preference_reward(reward_model, scale="tanh")


def test_it_may_be_on_in_the_last_steps_only(reward_model):
    reward = get_preference_reward(reward_model, last_steps=400)
    always = get_preference_reward(reward_model)(COMPLETIONS, PROMPTS)

    logged = []

    def at(step, max_steps=1700):
        state = TrainerState(global_step=step, max_steps=max_steps)
        return reward(COMPLETIONS, PROMPTS, trainer_state=state, log_metric=lambda *metric: logged.append(metric))

    assert at(0) == at(1299) == [None] * 3
    assert at(1300) == at(1699) == always
    assert logged == [(f"{reward.__name__}/on", on) for on in (0.0, 0.0, 1.0, 1.0)]
    assert at(0, max_steps=300) == always  # a shorter run has it throughout
    assert at(0, max_steps=0) == reward(COMPLETIONS, PROMPTS) == always  # evaluated outside of training
    assert pickle.loads(pickle.dumps(reward)).last_steps == 400
    with pytest.raises(RewardError, match="last_steps: 0 never"):
        get_preference_reward(reward_model, last_steps=0)


def test_switching_on_needs_no_state_that_a_resume_could_lose(reward_model):
    """Scores at a step depend on the step alone, whatever was called before."""
    steps = [TrainerState(global_step=step, max_steps=4) for step in range(4)]
    one = get_preference_reward(reward_model, last_steps=2)
    straight = [one(COMPLETIONS, PROMPTS, trainer_state=state) for state in steps]
    resumed = get_preference_reward(reward_model, last_steps=2)
    assert [resumed(COMPLETIONS, PROMPTS, trainer_state=state) for state in steps[1:]] == straight[1:]
    assert [row == [None] * 3 for row in straight] == [True, True, False, False]


def test_thoughts_change_harmlessness_and_not_helpfulness(reward_model):
    kind, unkind = "<think> hello </think> hello friend", "<think> go away </think> hello friend"
    helpful = get_preference_reward(reward_model)([kind, unkind], PROMPTS[:1] * 2)
    harmless = get_preference_reward(reward_model, reward_type="harmless")([kind, unkind], PROMPTS[:1] * 2)
    assert helpful[0] == pytest.approx(helpful[1], abs=1e-6)
    assert abs(harmless[0] - harmless[1]) > 1e-3
