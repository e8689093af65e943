"""The parts of one small training run: questions, rewards, arguments, trainer. Everything is made from seeds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset


sys.path.insert(0, str(Path(__file__).parents[1]))  # in processes that pytest did not start
from tiny_models import make_model, make_tokenizer


# Times, and TRL's count of tokens, which SFTTrainer starts anew in a resumed process.
CHANGING = ("step_time", "num_tokens")


def questions(rows: int = 12) -> Dataset:
    """Prompts `user : what is a plus b ? assistant :`, with the answer as `solution`."""
    prompts = [f"user : what is {index % 5} plus {index % 4} ? assistant :" for index in range(rows)]
    return Dataset.from_dict({"prompt": prompts, "solution": [str(index % 5 + index % 4) for index in range(rows)]})


def token_reward(completion_ids: list[list[int]], **kwargs: Any) -> list[float]:
    """Share of even token ids: varies within a group, costs nothing."""
    return [sum(token % 2 == 0 for token in ids) / len(ids) for ids in completion_ids]


def length_reward(completion_ids: list[list[int]], **kwargs: Any) -> list[float]:
    """A second reward, so that weights and sums matter."""
    return [min(len(ids), 8) / 8 for ids in completion_ids]


def make_arguments(config_class: type, output_dir: str, **options: Any) -> Any:
    """Training arguments for a CPU run of a few steps."""
    defaults: dict[str, Any] = {
        "output_dir": output_dir,
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "report_to": "none",
        "disable_tqdm": True,
        "logging_steps": 1,
        "save_strategy": "no",
        "learning_rate": 1e-2,
        "seed": 7,
    }
    return config_class(**{**defaults, **options})


def make_grpo(trainer_class: type, config_class: type, output_dir: str, **options: Any) -> Any:
    """A GRPO trainer with the tiny policy; `options` are fields of the configuration, `run` those of the trainer."""
    run = options.pop("run", {})
    tokenizer = make_tokenizer()
    model = run.pop("model", None)
    if model is None:
        model = policy_on_disk(output_dir, tokenizer)
    options = {"per_device_train_batch_size": 4, "num_generations": 4, "max_completion_length": 8, **options}
    return trainer_class(
        model=model,
        args=make_arguments(config_class, output_dir, **options),
        processing_class=tokenizer,
        train_dataset=run.pop("train_dataset", questions()),
        reward_funcs=run.pop("reward_funcs", [token_reward, length_reward]),
        **run,
    )


def policy_on_disk(output_dir: str, tokenizer: Any) -> str:
    """Folder of the initial policy beside `output_dir` (TRL loads the reference model by path, not by instance)."""
    folder = Path(output_dir).parent / "initial_policy"
    if not (folder / "model.safetensors").is_file():
        make_model(tokenizer, seed=3).save_pretrained(folder)
    return str(folder)


def finish(trainer: Any, output: Path) -> None:
    """Write weights and log rows."""
    weights = {name: tensor.detach().clone() for name, tensor in trainer.model.state_dict().items()}
    output.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"weights": weights, "logs": stable_logs(trainer.state.log_history)}, output)


def stable_logs(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Log rows of training steps, without what depends on the clock or on when the process started."""
    rows = [row for row in history if "loss" in row]
    return [{key: value for key, value in row.items() if key not in CHANGING} for row in rows]
