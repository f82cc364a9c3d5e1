"""`preferably audit run`: the way that training went, checkpoint by checkpoint, and what was lost."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    function_named,
    load_all,
    prompts_of,
    tell,
)
from preferably.errors import ConfigError

if TYPE_CHECKING:
    from preferably.models.loading import Loaded


@app.command("run")
def run(
    model: Annotated[str, typer.Option(help="the run that is audited: its checkpoints and its model")],
    against: Against,
    judge: Annotated[str, typer.Option(help="who decides and was not trained against: as of `evaluate`")],
    data: Annotated[str | None, typer.Option(help="held-out prompts; default: those of the run")] = None,
    reward: Annotated[list[str] | None, typer.Option(help="what it was trained by; default: that of the run")] = None,
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
    from preferably.cli.watching import watching
    from preferably.evaluation.compare import with_room
    from preferably.evaluation.gains import Scale, best_of_points, point_of, start_of
    from preferably.evaluation.losses import losses
    from preferably.evaluation.overoptimization import audit_course
    from preferably.evaluation.questions import questions_of
    from preferably.judging.named import decided_by
    from preferably.judging.parts import reward_parts
    from preferably.models.sampler import Decoding

    folder = Path(model)
    if data is None and not (folder / "held_out.jsonl").exists():
        raise ConfigError(f"--data is missing, and {model} is no run that held prompts out; give a file of prompts.")
    decides, score = decided_by(judge)
    names = tuple(reward) if reward else _rewards(folder)
    parts = reward_parts(names, device=device, dtype=dtype)
    scale, check = Scale(decides, score, parts), function_named(checker)
    asked = questions_of(prompts_of(tasks, limit), checked=check is not None) if tasks else []
    loaded = load_all({"model": model, "against": against}, device, dtype)
    held_out = prompts_of(data or str(folder / "held_out.jsonl"), limit)
    prompts, too_long = with_room(held_out, [*loaded.values()], max_tokens)
    if not prompts:
        raise ConfigError(f"None of {too_long} prompts leaves room to answer; lower --max-tokens.")
    with watching() as watch:
        task = watch.stage("answering")
        how: dict[str, Any] = {"max_tokens": max_tokens, "progress": lambda done: watch.bars.advance(task, done)}
        many = max(samples, best_of if parts else 1)
        start = start_of(loaded["against"], prompts, scale, samples=many, seed=2 * seed + 1, **how)
        points = best_of_points(start)
        for label, one in _along(folder, loaded["model"]):
            points.append(point_of(one, label, start, scale, samples=samples, seed=2 * seed, **how))
        rows, found = losses(
            loaded["model"], loaded["against"], prompts, tasks=asked, checker=check, seed=seed,
            decoding=Decoding(0.7, max_tokens=max_tokens), progress=how["progress"],
        )  # fmt: skip
    tell(
        audit_course(
            points, model=loaded["model"].name, against=loaded["against"].name, judge=judge, lost=rows,
            lost_findings=found, seed=seed,
            settings={"prompts": len(prompts), "too_long": too_long, "samples": samples, "reward": list(names)},
        ), model, output,
    )  # fmt: skip


def _along(run: Path, model: "Loaded") -> Iterator[tuple[str, "Loaded"]]:
    """The checkpoints that a run kept, one in memory at a time, and its model."""
    from preferably.training.export import model_at

    steps = sorted(int(path.name[5:]) for path in (run / "checkpoints").glob("step-*") if path.name[5:].isdigit())
    for step in steps[:-1]:  # the last one is its model, or is replaced by a better one that is
        yield f"step {step}", model_at(run, step)
    yield "the model", model


def _rewards(run: Path) -> Sequence[str]:
    """What a run was trained by; nothing where it was not online."""
    from preferably.config import read_yaml

    found = read_yaml(run / "config.yaml").get("reward") if (run / "config.yaml").exists() else None
    return tuple(found or ())
