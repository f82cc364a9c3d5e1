"""Logits in plain transformers. Run as a script, in a process of its own, it loads a directory and imports nothing of
ours: what it says of an exported model is what anybody's program would find.

    python -P plain_forward.py JOB.json     the job names the directory, the prompts, the threads and the output
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification


@torch.no_grad()
def last_logits(model: Any, prompts: Sequence[Sequence[int]], positions: int) -> list[Tensor]:
    """For each prompt (token ids) the logits of its last `positions` positions, [P, V] float32; of a model that scores
    the scores [A], where `positions` is at least as many."""
    for parameter in model.parameters():
        # Weights read from a file lie where the file has them. Kernels may take other paths for other alignments.
        parameter.data = parameter.data.clone()
    return [
        model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0, -positions:].float().contiguous()
        for ids in prompts
    ]


def _main(job: dict[str, Any]) -> None:
    torch.set_num_threads(job["threads"])
    safe: dict[str, Any] = {"use_safetensors": True, "trust_remote_code": False}
    model: Any
    if job["scores"]:
        model = AutoModelForSequenceClassification.from_pretrained(job["directory"], **safe)
    elif job["base"] is None:
        model = AutoModelForCausalLM.from_pretrained(job["directory"], **safe)
    else:
        from peft import PeftModel

        base = AutoModelForCausalLM.from_pretrained(job["base"], dtype=torch.float32, **safe)
        model = PeftModel.from_pretrained(base, job["directory"])
    if "preferably" in sys.modules:
        raise SystemExit("This process was to know plain transformers only, and something has imported preferably.")
    found = last_logits(model.eval(), job["prompts"], job["positions"])
    save_file({str(number): logits for number, logits in enumerate(found)}, job["output"])


if __name__ == "__main__":
    _main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
