"""The audit of a run from its options to what it found: checkpoint by checkpoint, and what was lost."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from preferably.config import read_yaml
from preferably.errors import ConfigError
from preferably.evaluation.audit import Audit, Progress, silent
from preferably.evaluation.auditing import Begins, Note, by, function_named, load_all, prompts_of, unsaid, unseen
from preferably.evaluation.compare import with_room
from preferably.evaluation.gains import Scale, best_of_points, point_of, start_of
from preferably.evaluation.losses import losses
from preferably.evaluation.memory import remembering
from preferably.evaluation.overoptimization import audit_course
from preferably.evaluation.questions import Question, questions_of
from preferably.feedback.records import Group
from preferably.judging.described import deciders, judged_by
from preferably.judging.judge import ScoreFunction
from preferably.judging.named import decided_by, same_judge
from preferably.judging.parts import reward_parts
from preferably.models.loading import Loaded
from preferably.models.sampler import Decoding
from preferably.training.export import model_at


def run(
    model: str, against: str, *, judge: str, data: str | None = None, reward: Sequence[str] = (),
    taught_by: Sequence[str] = (), best_of: int = 16, tasks: str | None = None, checker: str | None = None,
    samples: int = 1, max_tokens: int = 128, limit: int | None = 200, seed: int = 0, device: str = "auto",
    dtype: str = "auto", begins: Begins = unseen, note: Note = unsaid,
) -> Audit:  # fmt: skip
    """The audit of `preferably audit run`, whose options these are; `data` and `reward` are those of the run where they
    are not given. `ConfigError` where there is no prompt to ask."""
    folder = Path(model)
    if data is None and not (folder / "held_out.jsonl").exists():
        raise ConfigError(f"--data is missing, and {model} is no run that held prompts out; give a file of prompts.")
    decides, score = decided_by(judge)
    names = tuple(reward) or _rewards(folder)
    parts = reward_parts(names, device=device, dtype=dtype)
    scale, check = Scale(decides, score, parts), function_named(checker)
    asked = questions_of(prompts_of(tasks, limit, note), checked=check is not None) if tasks else []
    held_out = prompts_of(data or str(folder / "held_out.jsonl"), limit, note)
    loaded = load_all({"model": model, "against": against}, device, dtype)
    prompts, too_long = with_room(held_out, [*loaded.values()], max_tokens)
    if not prompts:
        raise ConfigError(f"None of {too_long} prompts leaves room to answer; lower --max-tokens.")
    found = along(
        folder, loaded["model"], loaded["against"], prompts, scale, judge=judge, best_of=best_of, tasks=asked,
        checker=check, samples=samples, max_tokens=max_tokens, seed=seed, progress=begins("answering", None),
        taught_by=taught_by, settings={"too_long": too_long, "reward": list(names)},
    )  # fmt: skip
    found = remembering(found, model, against, [*prompts, *(one.prompt for one in asked)], note)
    return by(found, judged_by(deciders(decides)))


def along(
    run: Path, after: Loaded, before: Loaded, prompts: Sequence[Group], scale: Scale, *, judge: str,
    taught_by: Sequence[str] = (), best_of: int = 16, tasks: Sequence[Question] = (),
    checker: ScoreFunction | None = None, harmless: Sequence[Group] = (), samples: int = 1, max_tokens: int = 128,
    seed: int = 0, progress: Progress = silent, settings: Mapping[str, Any] | None = None,
) -> Audit:  # fmt: skip
    """The audit of the run in a folder, whose model is `after`, with models, prompts and judge at hand: `judge` is what
    that of `scale` is called, and clears nothing where training maximised it, or learnt from its preferences
    (`taught_by`); `settings` are told beside the numbers of prompts and samples."""
    how: dict[str, Any] = {"max_tokens": max_tokens, "progress": progress}
    start = start_of(
        before, prompts, scale, samples=max(samples, best_of if scale.parts else 1), seed=2 * seed + 1, **how
    )
    points = best_of_points(start)
    for label, one in _checkpoints(run, after):
        points.append(point_of(one, label, start, scale, samples=samples, seed=2 * seed, **how))
    taught = [*taught_by, *_rewards(run), *(part.name for part in scale.parts)]
    rows, lost = losses(
        after, before, prompts, tasks=tasks, checker=checker, seed=seed, harmless=harmless,
        decoding=Decoding(0.7, max_tokens=max_tokens), progress=progress,
    )  # fmt: skip
    return audit_course(
        points, model=after.name, against=before.name, judge=judge, lost=rows, lost_findings=lost, seed=seed,
        settings={"prompts": len(prompts), "samples": samples, **(settings or {})},
        held_out=not any(same_judge(judge, one) for one in taught),
    )  # fmt: skip


def _checkpoints(run: Path, model: Loaded) -> Iterator[tuple[str, Loaded]]:
    """The checkpoints that a run kept, one in memory at a time, and its model."""
    steps = sorted(int(path.name[5:]) for path in (run / "checkpoints").glob("step-*") if path.name[5:].isdigit())
    for step in steps[:-1]:  # the last one is its model, or is replaced by a better one that is
        yield f"step {step}", model_at(run, step)
    yield "the model", model


def _rewards(run: Path) -> Sequence[str]:
    """What a run was trained by; nothing where it was not online."""
    found = read_yaml(run / "config.yaml").get("reward") if (run / "config.yaml").exists() else None
    return tuple(found or ())
