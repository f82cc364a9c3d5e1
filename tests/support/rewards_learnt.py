"""A reward model that learnt to like the letter a: what tests of the online loop give it."""

import json

import preferably


def likes_a(folder, model, steps):
    """The run, in `folder`, that trained it for `steps` from `model`."""
    rows = [{"prompt": f"{k}? ", "chosen": "aaa" + "b" * (k % 3), "rejected": "b" * (1 + k % 4)} for k in range(40)]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return preferably.train(
        "reward", model=model, data=folder / "pairs.jsonl", output=folder / "rm", max_steps=steps, learning_rate=3e-3,
        batch_size=8, device="cpu", dtype="float32",
    )  # fmt: skip
