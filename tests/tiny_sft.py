"""One step of SFT that publishes, on the CPU, for tests that start it in processes of their own."""

import json


TOKEN = "hf_" + "aB3dE" * 6
ONE_STEP = {
    "use_cpu": True,
    "bf16": False,
    "activation_checkpointing": False,
    "report_to": "none",
    "max_steps": 1,
    "save_strategy": "no",
    "per_device_train_batch_size": 2,
    "push_to_hub": True,
}


def write_chats(folder):
    """Four conversations in a new folder; returns its path, for `dataset_name`."""
    folder.mkdir()
    with (folder / "train.jsonl").open("w") as stream:
        for word in ("friend", "hello", "so", "answer"):
            said = [{"role": "user", "content": "hello ?"}, {"role": "assistant", "content": f"hello {word}"}]
            stream.write(json.dumps({"messages": said}) + "\n")
    return str(folder)
