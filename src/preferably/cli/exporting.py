"""`preferably export`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text


def export(
    run: Annotated[Path, typer.Argument(help="a run directory")],
    output: Annotated[Path, typer.Option(help="the new directory to write")],
    adapter: Annotated[
        bool, typer.Option("--adapter/--merged", help="the adapters of a LoRA run alone, or merged into its weights")
    ] = False,
    dtype: Annotated[str, typer.Option(help="same (float32, as trained), float32 or bfloat16")] = "same",
    checkpoint: Annotated[
        str | None, typer.Option(help="best, last or a step; default: what the run made, or would make, its model")
    ] = None,
) -> None:
    """Write a run's model for plain transformers or peft, and prove that it is the model that was trained."""
    from preferably import api

    step = int(checkpoint) if checkpoint is not None and checkpoint.isdigit() else checkpoint
    done = api.export(run, output, adapter=adapter, dtype=dtype, checkpoint=step)
    facts = done.facts
    size = sum(entry["size"] for entry in facts["files"].values())
    console = Console(highlight=False)
    console.print(f"{facts['form']}, {facts['dtype']}, step {facts['step']}, {size / 1e6:,.1f} MB")
    what = "scores" if facts["method"] == "reward" else "logits"
    console.print(f"proof   {what} equal to the last bit in plain transformers, {len(facts['proof']['prompts'])} rows")
    for name, moved in (("merging", facts["merging"]), ("casting", facts["casting"])):
        if moved and "score" in moved:
            console.print(f"{name} moved a score by up to {moved['score']:.2g}")
        elif moved:
            figures = f"a log-prob by up to {moved['log_prob']:.2g} nats, KL {moved['kl']:.2g} nats a token"
            console.print(f"{name} moved {figures}")
    console.print(Text(f"model   {done.path}"), soft_wrap=True)
