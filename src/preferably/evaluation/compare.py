"""Two models answer the same held-out prompts, and a judge decides."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Protocol

from preferably.data.tokens import encode_prompts
from preferably.errors import ModelError
from preferably.evaluation.kept_answers import KeptAnswers
from preferably.evaluation.slices import names_in
from preferably.evaluation.winrate import WinRate, win_rate
from preferably.feedback.records import Group
from preferably.judging.described import need_references
from preferably.judging.judge import Judge, ScoreFunction, scores_of
from preferably.models.loading import Loaded
from preferably.models.policy import to_draw_with
from preferably.models.sampler import Decoding, Sample, sample
from preferably.models.selfcheck import check_packing
from preferably.training.measure import groups_of_samples, kl_of_samples
from preferably.training.run_directory import RunDirectory

Tell = Callable[[int], None]


class Answer(Protocol):
    """What may stand in for `answers`."""

    def __call__(self, loaded: Loaded, prompts: Sequence[Group], decoding: Decoding, **how: Any) -> list[list[Sample]]:
        """Samples for each prompt."""

    def facts(self, prompts: Sequence[Group]) -> Mapping[str, Any]:
        """What decides them beside the model and the decoding."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two models said to the same prompts, and what the judge made of it."""

    prompts: Sequence[Group]
    model: list[list[str]]  # per prompt, its samples
    against: list[list[str]]
    result: WinRate
    decoding: Decoding
    samples: int


def answers(
    loaded: Loaded,
    prompts: Sequence[Group],
    decoding: Decoding,
    *,
    samples: int = 1,
    seed: int = 0,
    progress: Tell | None = None,
) -> list[list[Sample]]:
    """`samples` completions for each prompt. Raises `DataError` for a prompt that leaves no room to answer."""
    context = loaded.context or 10**9
    ids = encode_prompts(prompts, loaded.tokenizer, max_length=context - min(decoding.max_tokens, context // 2))
    return sample(
        to_draw_with(loaded.policy), loaded.tokenizer, ids, decoding,
        stop_ids=loaded.stop_ids, samples=samples, seed=seed, progress=progress,
    )  # fmt: skip


def with_room(prompts: Sequence[Group], models: Sequence[Loaded], max_tokens: int) -> tuple[list[Group], int]:
    """The prompts that leave every model room for `max_tokens` (or half of its context), and how many do not."""
    kept = list(prompts)
    for loaded in models:
        context = loaded.context or 10**9
        room = context - min(max_tokens, context // 2)
        ids = encode_prompts(kept, loaded.tokenizer, max_length=10**9)
        kept = [prompt for prompt, tokens in zip(kept, ids, strict=True) if len(tokens) <= room]
    return kept, len(prompts) - len(kept)


def compare(
    model: Loaded,
    against: Loaded,
    prompts: Sequence[Group],
    judge: Judge,
    decoding: Decoding,
    *,
    samples: int = 1,
    seed: int = 0,
    progress: Tell | None = None,
    answer: Answer | None = None,
    slices: Sequence[str] = (),
    axes: Mapping[str, Judge] | None = None,
    kept: KeptAnswers | None = None,
) -> Comparison:
    """Sample both models on `prompts` and judge them pair by pair; each is seeded apart, so that they differ by chance
    even if they are the same model. `answer` stands in for `answers` where `model` is to answer in another way;
    `slices` are columns of the prompts (`evaluation.slices`), `axes` judges of one axis each (voice, directness).
    `kept` keeps the answers before they are judged."""
    for column in slices:
        names_in(prompts, column)  # a mistake is told before anything is drawn
    for one in (judge, *(axes or {}).values()):
        need_references(one, prompts)
    kept = kept or KeptAnswers(None)
    how: dict[str, Any] = {"samples": samples, "progress": progress}
    facts = answer.facts(prompts) if answer else None
    ours = kept.texts(answer or answers, model, prompts, decoding, seed=2 * seed, facts=facts, **how)
    theirs = kept.texts(answers, against, prompts, decoding, seed=2 * seed + 1, **how)
    with kept.judging():
        found = win_rate(prompts, ours, theirs, judge, seed=seed, slices=slices)
        by_axis = {name: win_rate(prompts, ours, theirs, one, seed=seed) for name, one in (axes or {}).items()}
    found = replace(found, axes=by_axis)
    return Comparison(prompts, ours, theirs, found, decoding, samples)


def measure_kl(
    model: Loaded, against: Loaded, prompts: Sequence[Group], *, max_tokens: int, samples: int = 1, seed: int = 0
) -> dict[str, float]:
    """KL(model || against), nats per sequence with its standard error, on the model's own samples at temperature 1.

    Raises `ModelError` if the two do not share a vocabulary, for then it is not defined.
    """
    if model.tokenizer.get_vocab() != against.tokenizer.get_vocab():
        raise ModelError(f"KL needs one vocabulary; {model.name} and {against.name} have different tokenizers.")
    decoding = Decoding(temperature=1.0, max_tokens=max_tokens)
    ids = encode_prompts(prompts, model.tokenizer, max_length=model.context or 10**9)
    drawn = answers(model, prompts, decoding, samples=samples, seed=seed)
    for loaded in (model, against):
        check_packing(loaded.policy, groups_of_samples(ids, drawn))
    values = kl_of_samples(model.policy, against.policy, ids, drawn)
    per_prompt = [fmean(values[i * samples : (i + 1) * samples]) for i in range(len(prompts))]
    error = stdev(per_prompt) / len(per_prompt) ** 0.5 if len(per_prompt) > 1 else float("nan")
    return {"mean": fmean(values), "se": error, "per_token": fmean(values) / mean_length(drawn)}


def mean_length(drawn: Sequence[Sequence[Sample]]) -> float:
    """Mean length of samples, tokens."""
    return fmean(len(one.tokens) for several in drawn for one in several)


def store(
    comparison: Comparison,
    directory: Path,
    *,
    judge: str,
    model: str,
    against: str,
    kl: Mapping[str, float] | None = None,
    name: str = "win_rate",
    keep_samples: int = 200,
    too_long: int = 0,
    scores: ScoreFunction | None = None,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write `evaluation/<name>.json` and, for the headline, `samples.jsonl` (the first sample of each prompt).

    `too_long` prompts were left out for want of room in the context; `more` is said of the decoding.
    """
    run = RunDirectory(directory)
    decoding = {key: value for key, value in asdict(comparison.decoding).items() if key != "stop"}
    decoding |= {"samples": comparison.samples} | dict(more or {})
    values = comparison.result.as_json(judge=judge, decoding=decoding, kl=kl, model=model, against=against)
    values["too_long"] = too_long
    if name == "win_rate":
        (directory / "samples.jsonl").unlink(missing_ok=True)
        asked = [group.prompt_text for group in comparison.prompts[:keep_samples]]
        ours = [several[0] for several in comparison.model[:keep_samples]]
        theirs = [several[0] for several in comparison.against[:keep_samples]]
        said = scores_of(scores, asked * 2, ours + theirs) if scores is not None else []
        for i, prompt in enumerate(asked):
            line: dict[str, Any] = {"prompt": prompt, "model": ours[i], "against": theirs[i]}
            line["preferred"] = comparison.result.outcomes[i][0]
            if said:
                line["scores"] = {"model": said[i], "against": said[len(asked) + i]}
            run.append("samples.jsonl", line)
    run.write_json(f"evaluation/{name}.json", values)  # last: where it is there, all is
    return values
