"""A checkpoint's own sampling is for its users: no later stage, and no evaluation, draws other tokens for it."""

import json
import shutil

import pytest
from tiny_checkpoints import save_policy
from tiny_run import make_grpo, make_tokenizer, token_reward
from trl import GRPOConfig, GRPOTrainer

from trl_r1 import R1GRPOConfig, R1GRPOTrainer
from trl_r1.generation import SamplingParameters, TransformersEngine
from trl_r1.hub.checkpoints.files import finish_checkpoint


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The same weights with the generation configuration of `save_pretrained`, the paper's, and a base model's."""
    home = tmp_path_factory.mktemp("policies")
    plain = save_policy(home / "plain", make_tokenizer())
    paper = shutil.copytree(plain, home / "paper")
    finish_checkpoint(paper, kind="grpo")
    released = shutil.copytree(plain, home / "released")
    content = json.loads((released / "generation_config.json").read_text())
    content |= {"do_sample": True, "repetition_penalty": 1.5, "temperature": 0.1, "top_k": 3, "top_p": 0.5}
    (released / "generation_config.json").write_text(json.dumps(content))
    return {"plain": plain, "paper": paper, "released": released}


@pytest.mark.parametrize(
    ("trainer_class", "config_class", "options"),
    [(GRPOTrainer, GRPOConfig, {}), (R1GRPOTrainer, R1GRPOConfig, {}), (R1GRPOTrainer, R1GRPOConfig, {"fast": True})],
    ids=["trl", "r1", "fast"],
)
def test_grpo_draws_the_same_tokens(folders, tmp_path, trainer_class, config_class, options):
    drawn = {}
    for name, folder in folders.items():
        rows = drawn.setdefault(name, [])

        def reward(completion_ids, rows=rows, **kwargs):
            rows.append(completion_ids)
            return token_reward(completion_ids)

        run = {"model": str(folder), "reward_funcs": [reward]}
        trainer = make_grpo(trainer_class, config_class, str(tmp_path / name), run=run, max_steps=2, **options)
        trainer.train()
        trainer.save_model(str(tmp_path / name))
    assert drawn["plain"][0]
    assert drawn["plain"] == drawn["paper"] == drawn["released"]
    weights = {(tmp_path / name / "model.safetensors").read_bytes() for name in folders}
    assert len(weights) == 1


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_evaluation_draws_the_same_tokens(folders, temperature):
    params = SamplingParameters(temperature=temperature, max_new_tokens=12)
    prompts = ["user : what is a plus b ?", "what is 3 plus 4 ?"]
    drawn = [TransformersEngine.from_pretrained(str(folder)).generate(prompts, params) for folder in folders.values()]
    assert drawn[0] == drawn[1] == drawn[2]


def test_a_user_draws_as_the_paper_does(folders):
    """Left out of the file, `top_k` would be 50."""
    model = TransformersEngine.from_pretrained(str(folders["paper"])).model
    config, _ = model._prepare_generation_config(None)
    assert (config.do_sample, config.temperature, config.top_p, config.top_k) == (True, 0.6, 0.95, 0)
    assert (config.repetition_penalty, config.min_p, config.num_beams) == (1.0, None, 1)
