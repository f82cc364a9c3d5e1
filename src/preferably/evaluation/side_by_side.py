"""Completions of several models on the same prompts, as rows to compare, or as pairs of which one model is better."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preferably.data.load import load_prompts
from preferably.data.writers import beside, ending_of, refuse_existing, spoken, write_rows
from preferably.errors import ConfigError, DataError
from preferably.evaluation.compare import answers, with_room
from preferably.feedback.records import Group
from preferably.judging.llm import LanguageJudge
from preferably.judging.parts import answered
from preferably.judging.settings import is_judge_file, read_judges
from preferably.models.loading import load, model_directory
from preferably.models.sampler import Decoding
from preferably.remote.client import Replies
from preferably.remote.sampler import drawn


@dataclass(frozen=True, slots=True)
class SideBySide:
    """What was written and what was left out: prompts = rows + too_long + failed + empty + equal."""

    rows: int
    too_long: int  # prompts that leave some model no room to answer
    failed: int  # prompts to which a server gave some model's answer not, or not whole
    empty: int  # prompts to which some model answered nothing
    equal: int  # prompts to which all answers are the same


def side_by_side(
    models: Sequence[str],
    *,
    data: str | Path,
    output: str | Path,
    samples: int = 1,
    prefer: str | None = None,
    temperature: float = 0.7,
    max_tokens: int = 256,
    limit: int | None = None,
    seed: int = 0,
    replies: Replies | None = None,
    starting: Callable[[int], None] = lambda total: None,
    progress: Callable[[int], None] = lambda more: None,
    **loading: Any,
) -> SideBySide:
    """Let each of `models` answer the prompts in `data`, and write a row a prompt to the new file `output`.

    A model is a directory, a run, or a YAML file of a model on a server (as of judges: server, model). A row has
    `completions` and `models`, to be judged; with `prefer`, one of two models, it is a pair of which that one's answer
    is chosen: a stronger model's answers are better as a rule, which nobody has looked at. `ConfigError` for other
    names or counts; else raises what reading, loading and drawing do.
    """
    ending_of(output)
    refuse_existing(output)
    if len(set(models)) != len(models) or len(models) < 2:
        raise ConfigError(f"Give two different models or more; got {', '.join(models) or 'none'}.")
    if prefer is not None and (prefer not in models or len(models) > 2 or samples > 1):
        raise ConfigError(f"--prefer names one of two models that answer once each; got {prefer!r}.")
    found = load_prompts([data], limit).groups
    here = {name: load(model_directory(name), **loading) for name in models if not is_judge_file(name)}
    prompts, too_long = with_room([answered(group, []) for group in found], list(here.values()), max_tokens)
    if not prompts:
        raise DataError(f"None of {too_long} prompts leaves room to answer.")
    starting(len(prompts) * len(models))
    decoding = Decoding(temperature, max_tokens=max_tokens)
    said: dict[str, list[list[str | None]]] = {}
    for name in models:
        if name in here:
            drew = answers(here[name], prompts, decoding, samples=samples, seed=seed, progress=progress)
            said[name] = [[one.text for one in several] for several in drew]
        else:
            said[name] = _asked(name, prompts, decoding, samples, seed, replies, lambda more: progress(more))
    rows, failed, empty, equal = [], 0, 0, 0
    for at, prompt in enumerate(prompts):
        texts = {name: said[name][at] for name in models}
        flat = [text for several in texts.values() for text in several]
        if None in flat:
            failed += 1
        elif not all(text and text.strip() for text in flat):
            empty += 1
        elif len({text.strip() for text in flat if text}) < 2:
            equal += 1
        else:
            rows.append(_row(prompt, texts, prefer))
    if not rows:
        counts = f"{failed} without one, {empty} with an empty one, {equal} with equal ones"
        raise DataError(f"No prompt has answers that differ: {counts}.")
    return SideBySide(write_rows(rows, output), too_long, failed, empty, equal)


def _asked(
    name: str, prompts: Sequence[Group], decoding: Decoding, samples: int, seed: int, replies: Replies | None,
    progress: Callable[[int], None],
) -> list[list[str | None]]:  # fmt: skip
    """The texts that a model on a server answers with; None where it did not."""
    described = read_judges(name)
    if len(described) > 1:
        raise ConfigError(f"{name} describes a panel; a model to be sampled from is one, so give a file without it.")
    model = LanguageJudge(described[0], replies)
    body = model.body() | {"temperature": decoding.temperature, "max_tokens": decoding.max_tokens}
    told = drawn(model.client, body, prompts, samples=samples, seed=seed, progress=progress)
    return [[one.text if one.state == "ok" else None for one in several] for several in told]


def _row(prompt: Group, texts: dict[str, list[str | None]], prefer: str | None) -> dict[str, Any]:
    names = [name for name, several in texts.items() for _ in several]
    asked, said = spoken(answered(prompt, [text or "" for several in texts.values() for text in several]))
    more = beside(prompt)
    if prefer is None:
        return {"prompt": asked, "completions": said, "models": names} | more
    best = names.index(prefer)
    who = {"models": [prefer, names[1 - best]]}
    return {"prompt": asked, "chosen": said[best], "rejected": said[1 - best]} | who | more
