"""Completions of a model as rows of data, scored if asked for; and the best of n, a baseline that needs no training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from preferably.data.load import load_prompts
from preferably.data.writers import beside, ending_of, refuse_existing, row_of, write_rows
from preferably.errors import ConfigError, DataError
from preferably.evaluation.compare import Tell, answers, with_room
from preferably.feedback.records import Group
from preferably.judging.parts import (
    Part,
    Scores,
    added_up,
    answered,
    check_columns,
    facts_of,
    needs_company,
    reward_parts,
    tried,
)
from preferably.methods import MISSING_EOS
from preferably.models.loading import Loaded, load, model_directory
from preferably.models.sampler import Decoding, Sample
from preferably.statistics.best_of import most_kl

PENALTY = MISSING_EOS.default  # as in training, so that this is a baseline for it


@dataclass(frozen=True, slots=True)
class Drawn:
    """K completions of a prompt, and what a reward says of them: by part, and in all. None is where it cannot tell."""

    prompt: Group
    samples: list[Sample]
    parts: dict[str, Scores]  # [K] each; none without a reward
    totals: Scores  # [K]

    def row(self) -> dict[str, Any]:
        """All completions; their scores are `ratings`, so that the row can be trained on as a ranking."""
        row, texts = row_of(self.prompt) | beside(self.prompt), [self._said(one) for one in self.samples]
        row |= {"completion": texts[0]} if len(texts) == 1 else {"completions": texts}
        if not self.parts:
            return row
        if len(texts) == 1:
            return row | {"score": self.totals[0], "rewards": self._rewards(0)}
        return row | {"ratings": self.totals, "rewards": [self._rewards(at) for at in range(len(texts))]}

    def best_row(self, best: int) -> dict[str, Any]:
        """The completion `best` as a demonstration, with its score and how many there were."""
        row = row_of(self.prompt) | beside(self.prompt) | {"completion": self._said(self.samples[best])}
        return row | {"score": self.totals[best], "rewards": self._rewards(best), "best_of": len(self.samples)}

    def _said(self, one: Sample) -> Any:
        return row_of(answered(self.prompt, [one.text]))["completion"]

    def _rewards(self, at: int) -> dict[str, float | None]:
        return {name: scores[at] for name, scores in self.parts.items()}


@dataclass(frozen=True, slots=True)
class Sampled:
    """What `sample` wrote and what it left out; the counts of completions are of those written."""

    rows: int
    too_long: int  # prompts that leave no room to answer, left out
    unscored: int  # prompts of which the reward could tell nothing: left out with best_of
    empty: int  # completions without a text: readers reject their rows
    unfinished: int  # completions that the model did not end
    mean: float | None  # score of all completions drawn, where they are scored
    mean_best: float | None  # score of the best of each prompt


def draw(
    loaded: Loaded,
    prompts: Sequence[Group],
    decoding: Decoding,
    *,
    samples: int,
    parts: Sequence[Part] = (),
    missing_eos_penalty: float = PENALTY,
    together: int | None = None,
    seed: int = 0,
    progress: Tell | None = None,
) -> list[Drawn]:
    """`samples` completions for each prompt, scored by `parts` as in training: their weighted sum, less the penalty
    where the model did not end. Parts that compare are shown `together` of them at a time (default: all of a prompt).
    Raises what `answers` and the parts raise."""
    together = together or samples
    check_columns(parts, prompts)
    for part in parts:
        tried(part, prompts)
    drawn = answers(loaded, prompts, decoding, samples=samples, seed=seed, progress=progress)
    groups = [
        answered(prompt, [one.text for one in several[at : at + together]])
        for prompt, several in zip(prompts, drawn, strict=True)
        for at in range(0, samples, together)
    ]
    fines = [0.0 if one.finished else -missing_eos_penalty for several in drawn for one in several]
    scores = {part.name: part.score(groups) for part in parts}
    totals = added_up(parts, scores, fines)
    return [
        Drawn(
            prompt, several, {name: said[at : at + samples] for name, said in scores.items()},
            totals[at : at + samples],
        )
        for prompt, several, at in zip(prompts, drawn, range(0, len(totals), samples), strict=True)
    ]  # fmt: skip


def best_of(
    loaded: Loaded,
    prompts: Sequence[Group],
    parts: Sequence[Part],
    n: int,
    decoding: Decoding,
    *,
    samples: int = 1,
    missing_eos_penalty: float = PENALTY,
    seed: int = 0,
    progress: Tell | None = None,
) -> list[list[Sample]]:
    """`samples` completions for each prompt, each the best of `n` by the reward (the first of equals).

    `DataError` where the reward cannot tell anything of the `n` completions of a prompt.
    """
    _check(n, parts)
    found: list[list[Sample]] = []
    for one in draw(
        loaded, prompts, decoding, samples=n * samples, parts=parts, missing_eos_penalty=missing_eos_penalty,
        together=n, seed=seed, progress=progress,
    ):  # fmt: skip
        best = [best_at(one.totals[at : at + n]) for at in range(0, n * samples, n)]
        if None in best:
            raise DataError(
                f"The reward gives no number for any of {n} completions of the prompt "
                f"{one.prompt.prompt_text[:60]!r}; leave that prompt out, or give a reward that can tell."
            )
        found.append([one.samples[place * n + at] for place, at in enumerate(best) if at is not None])
    return found


@dataclass(frozen=True, slots=True)
class BestOf:
    """A stand-in for `answers` that gives the best of `n` by `parts`."""

    n: int
    parts: Sequence[Part]

    def __call__(self, loaded: Loaded, prompts: Sequence[Group], decoding: Decoding, **how: Any) -> list[list[Sample]]:
        """As `best_of`."""
        return best_of(loaded, prompts, self.parts, self.n, decoding, **how)

    def facts(self, prompts: Sequence[Group]) -> dict[str, Any]:
        """What decides which is the best."""
        return {"best_of": self.n, "weights": [[one.name, one.weight] for one in self.parts]} | facts_of(
            self.parts, prompts
        )


def answering(reward: Sequence[str], n: int | None, **loading: Any) -> tuple[BestOf | None, dict[str, Any]]:
    """The stand-in that gives the best of `n` by `reward`, and what to say of it; neither without `n`."""
    if n is None:
        if reward:
            raise ConfigError("A reward chooses the best of several answers: give best_of too, or leave it out.")
        return None, {}
    parts = reward_parts(reward, **loading)
    _check(n, parts)
    return BestOf(n, parts), {"best_of": n, "reward": " + ".join(reward), "kl_bound": most_kl(n)}


def best_at(scores: Scores) -> int | None:
    """Where the highest score is, the first of equals; None where there is none."""
    known = [(score, -at) for at, score in enumerate(scores) if score is not None]
    return -max(known)[1] if known else None


def sample(
    model: str | Path | Loaded,
    *,
    data: str | Path | Sequence[Group],
    output: str | Path,
    samples: int = 1,
    reward: Sequence[str] = (),
    best_of: int | None = None,
    missing_eos_penalty: float = PENALTY,
    temperature: float = 0.7,
    top_p: float = 1.0,
    top_k: int = 0,
    max_tokens: int = 256,
    limit: int | None = None,
    seed: int = 0,
    starting: Callable[[int], None] = lambda prompts: None,
    progress: Tell | None = None,
    **loading: Any,
) -> Sampled:
    """Draw completions for the prompts in `data` and write them to the new file `output`, a row a prompt.

    Without `best_of` a row has all `samples` completions, with their scores where there is a `reward` (parts as of
    online methods, `judging.parts`). With it, the best of so many is the row's one completion: a demonstration.
    `starting` is told how many prompts there are, `progress` how many more are done. Raises a `PreferablyError` for
    what cannot be read, loaded, drawn or written; nothing is written then.
    """
    decoding = Decoding(temperature, top_p, top_k, max_tokens)
    ending_of(output)  # before anything is loaded
    refuse_existing(output)
    if best_of is not None and samples != 1:
        raise ConfigError(f"Give samples or best_of, not both: best_of {best_of} draws so many and keeps one.")
    loaded = model if isinstance(model, Loaded) else load(model_directory(model), **loading)
    parts = reward_parts(reward, **loading)
    if best_of is not None:
        _check(best_of, parts)
    else:
        needs_company(parts, samples)
    found = load_prompts([data], limit).groups if isinstance(data, str | Path) else list(data)[:limit]
    prompts, too_long = with_room([answered(group, []) for group in found], [loaded], max_tokens)
    if not prompts:
        raise DataError(f"None of {too_long} prompts leaves room to answer in the context of {loaded.name}.")
    starting(len(prompts))
    drawn = draw(
        loaded, prompts, decoding, samples=best_of or samples, parts=parts, missing_eos_penalty=missing_eos_penalty,
        seed=seed, progress=progress,
    )  # fmt: skip
    return _written(drawn, output, too_long, chosen=best_of is not None)


def _written(drawn: Sequence[Drawn], output: str | Path, too_long: int, *, chosen: bool) -> Sampled:
    """Write rows of all completions, or of the best ones where they are `chosen`, and count."""
    best = [best_at(one.totals) if one.parts else None for one in drawn]
    if chosen:
        kept = [(one, at) for one, at in zip(drawn, best, strict=True) if at is not None]
        rows, told = [one.best_row(at) for one, at in kept], [one.samples[at] for one, at in kept]
    else:
        rows, told = [one.row() for one in drawn], [sample for one in drawn for sample in one.samples]
    if not rows:
        raise DataError(f"The reward gives no number for any completion of {len(drawn)} prompts, so none is the best.")
    scores = [score for one in drawn if one.parts for score in one.totals if score is not None]
    tops = [one.totals[at] or 0.0 for one, at in zip(drawn, best, strict=True) if at is not None]
    return Sampled(
        rows=write_rows(rows, output), too_long=too_long,
        unscored=sum(at is None for one, at in zip(drawn, best, strict=True) if one.parts),
        empty=sum(not one.text.strip() for one in told), unfinished=sum(not one.finished for one in told),
        mean=fmean(scores) if scores else None, mean_best=fmean(tops) if tops else None,
    )  # fmt: skip


def _check(n: int, parts: Sequence[Part]) -> None:
    if n < 1:
        raise ConfigError(f"best_of is how many completions the best is chosen from, at least 1; got {n}.")
    if not parts:
        raise ConfigError("best_of needs a reward to choose by: a reward model, or module:function.")
    needs_company(parts, n)
