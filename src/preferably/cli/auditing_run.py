"""`preferably audit run`: the way that training went, checkpoint by checkpoint, and what was lost."""

from typing import Annotated

import typer

from preferably.cli.auditing import (
    Against,
    Device,
    Dtype,
    Limit,
    MaxTokens,
    Output,
    Samples,
    Seed,
    app,
    tell,
    watched,
)


@app.command("run")
def run(
    model: Annotated[str, typer.Option(help="the run that is audited: its checkpoints and its model")],
    against: Against,
    judge: Annotated[str, typer.Option(help="who decides and was not trained against: as of `evaluate`")],
    data: Annotated[str | None, typer.Option(help="held-out prompts; default: those of the run")] = None,
    reward: Annotated[list[str] | None, typer.Option(help="what it was trained by; default: that of the run")] = None,
    taught_by: Annotated[list[str] | None, typer.Option(help="judges of the preferences that it learnt from")] = None,
    best_of: Annotated[int, typer.Option(min=1, help="with a reward: best of so many of the start, too")] = 16,
    tasks: Annotated[str | None, typer.Option(help="what it must still do: prompts with `answer`")] = None,
    checker: Annotated[str | None, typer.Option(help="module:function, 1 is right, for --tasks")] = None,
    samples: Samples = 1,
    max_tokens: MaxTokens = 128,
    limit: Limit = 200,
    seed: Seed = 0,
    output: Output = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:  # fmt: skip
    """Was the reward gamed? A held-out judge along the KL from the start, where to stop, and what was lost."""
    from preferably.evaluation.auditing_run import run as audit

    with watched() as shown:
        found = audit(
            model, against, judge=judge, data=data, reward=tuple(reward or ()), taught_by=tuple(taught_by or ()),
            best_of=best_of, tasks=tasks, checker=checker, samples=samples, max_tokens=max_tokens, limit=limit,
            seed=seed, device=device, dtype=dtype, **shown,
        )  # fmt: skip
    tell(found, model, output)
