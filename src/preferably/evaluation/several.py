"""Several models on the same held-out prompts: judged two by two, ranked, and told apart only where that can be."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from preferably.errors import ConfigError, DataError
from preferably.evaluation.asking import prompts_in
from preferably.evaluation.compare import Tell, answers, with_room
from preferably.evaluation.kept_answers import KeptAnswers, Note, silent
from preferably.evaluation.winrate import VALUE, WinRate, win_rate
from preferably.feedback.records import Group
from preferably.judging.described import Decider, judged_by, need_references
from preferably.judging.judge import Judge, ScoreFunction, name_of
from preferably.judging.named import decided_by
from preferably.models.loading import Loaded, load, model_directory
from preferably.models.sampler import Decoding
from preferably.statistics.rankings import Board, Game, islands, ranked
from preferably.training.run_directory import RunDirectory

Replies = list[list[str]]  # per prompt, its samples


@dataclass(frozen=True, slots=True)
class Several:
    """Every pair that was judged, by names, and what they come to together."""

    pairs: dict[tuple[str, str], WinRate]
    board: Board
    prompts: int
    too_long: int  # prompts that leave some model no room to answer, left out for all

    @property
    def judged_by(self) -> tuple[Decider, ...]:
        """The models that decided, and what asking them took for all pairs."""
        return [*self.pairs.values()][-1].judged_by

    def as_json(self, *, judge: str, decoding: dict[str, Any], against: str, all_pairs: bool) -> dict[str, Any]:
        """The contents of `board.json`."""
        board = self.board
        models = [
            {"name": one.name, "strength": one.strength, "interval": [one.interval.low, one.interval.high],
             "games": one.games}
            for one in board.standings
        ]  # fmt: skip
        return {
            "schema": 1, "models": models, "groups": board.groups,
            "separable": [list(pair) for pair in board.separable], "tie_weight": board.tie_weight,
            "confidence": board.confidence, "prompts": self.prompts, "too_long": self.too_long, "against": against,
            "all_pairs": all_pairs, "judge": judge,
            "judged_by": judged_by(self.judged_by), "decoding": decoding,
            "pairs": [_pair(names, found) for names, found in self.pairs.items()],
        }  # fmt: skip


def _pair(names: tuple[str, str], found: WinRate) -> dict[str, Any]:
    flags = [flag.as_json() for flag in found.flags]
    return {"model": names[0], "against": names[1], **found.figure(), "flags": flags}


def evaluate_several(
    models: Sequence[str | Path | Loaded],
    *,
    against: str | Path | Loaded,
    data: str | Path | Sequence[Group],
    judge: str | ScoreFunction | Judge,
    output: str | Path | None = None,
    all_pairs: bool = False,
    temperature: float = 0.7,
    max_tokens: int = 256,
    samples: int = 1,
    limit: int | None = None,
    seed: int = 0,
    progress: Tell | None = None,
    note: Note = silent,
    **loading: Any,
) -> Several:
    """Strengths of several models by what `judge` says of their answers to the same held-out prompts.

    Each is compared with `against`, or with `all_pairs` every two of them are; two that only met `against` are told
    apart by way of it, which takes more prompts. Models are loaded one after the other, so one has to fit. With
    `output` (a run directory) `evaluation/board.json` is written there. `ConfigError` for fewer than two models or a
    name given twice, `DataError` for no prompt that leaves all of them room, or no verdict that connects them.
    """
    everyone = [*models, against]
    names = [one.name if isinstance(one, Loaded) else str(one) for one in everyone]
    if len(models) < 2 or len(set(names)) < len(names):
        raise ConfigError(f"Ranking takes two or more models and one to compare with, all different; got {names}.")
    decides, _ = decided_by(judge)
    prompts, decoding = prompts_in(data, limit), Decoding(temperature=temperature, max_tokens=max_tokens)
    need_references(decides, prompts)
    drawn: dict[str, dict[int, list[str]]] = {}
    kept = KeptAnswers(output, note)
    for number, (name, one) in enumerate(zip(names, everyone, strict=True)):
        loaded = one if isinstance(one, Loaded) else load(model_directory(one), **loading)
        drawn[name] = _draw(loaded, prompts, decoding, samples, len(everyone) * seed + number, progress, kept)
        del loaded
    fits = [at for at in range(len(prompts)) if all(at in replies for replies in drawn.values())]
    if not fits:
        raise DataError(f"None of {len(prompts)} prompts leaves all of {', '.join(names)} room to answer.")
    replies = {name: [own[at] for at in fits] for name, own in drawn.items()}
    asked = [prompts[at] for at in fits]
    with kept.judging():
        found = rank(asked, replies, decides, names[-1], all_pairs=all_pairs, seed=seed)
    found = Several(found.pairs, found.board, len(fits), len(prompts) - len(fits))
    if output is not None:
        RunDirectory(Path(output)).make()
        told = {key: value for key, value in asdict(decoding).items() if key != "stop"} | {"samples": samples}
        values = found.as_json(
            judge=judge if isinstance(judge, str) else name_of(judge), decoding=told, against=names[-1],
            all_pairs=all_pairs,
        )  # fmt: skip
        RunDirectory(Path(output)).write_json("evaluation/board.json", values)
    return found


def _draw(
    loaded: Loaded,
    prompts: Sequence[Group],
    decoding: Decoding,
    samples: int,
    seed: int,
    progress: Tell | None,
    kept: KeptAnswers,
) -> dict[int, list[str]]:
    """The samples for each prompt that leaves the model room, by its place."""
    fit = {id(prompt) for prompt in with_room(prompts, [loaded], decoding.max_tokens)[0]}
    places = [at for at, prompt in enumerate(prompts) if id(prompt) in fit]
    if not places:
        return {}
    asked = [prompts[at] for at in places]
    said = kept.texts(answers, loaded, asked, decoding, samples=samples, seed=seed, progress=progress)
    return dict(zip(places, said, strict=True))


def rank(
    prompts: Sequence[Group], replies: dict[str, Replies], judge: Judge, against: str, *, all_pairs: bool = False,
    confidence: float = 0.95, seed: int = 0,
) -> Several:  # fmt: skip
    """The same of replies that are there already, by the names of who gave them; samples meet one by one.

    `DataError` where missing verdicts leave models that no comparison connects.
    """
    others = [name for name in replies if name != against]
    meetings = [*combinations(others, 2)] if all_pairs else []
    pairs: dict[tuple[str, str], WinRate] = {}
    games: list[Game] = []
    for one, other in [*((name, against) for name in others), *meetings]:
        found = win_rate(prompts, replies[one], replies[other], judge, confidence=confidence, seed=seed)
        pairs[one, other] = found
        games += [
            Game(one, other, VALUE[outcome], at)
            for at, row in enumerate(found.outcomes)
            for outcome in row
            if outcome != "missing"
        ]
    met = {name for game in games for name in (game.first, game.second)}
    parts = islands(games) + [[name] for name in replies if name not in met]
    if len(parts) > 1:
        told = "; ".join(", ".join(part) for part in parts)
        raise DataError(f"No verdict connects these models, so they have no common scale: {told}.")
    return Several(pairs, ranked(games, confidence=confidence, seed=seed), len(prompts), 0)
