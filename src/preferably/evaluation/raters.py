"""Who says of one reply alone whether something is there: a function, or a language model that rates it."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from preferably.errors import ConfigError
from preferably.feedback.records import Group, Message, Rating
from preferably.feedback.store.kept_replies import KeptReplies
from preferably.functions import load_function
from preferably.judging.described import deciders, judged_by
from preferably.judging.judge import ScoreFunction, scores_of
from preferably.judging.llm import LanguageJudge
from preferably.judging.parts import answered
from preferably.judging.questions import question
from preferably.judging.settings import JudgeSettings, is_judge_file, read_judges
from preferably.remote.client import Replies


@dataclass(frozen=True, slots=True)
class Rater:
    """A score of one reply, 0 to 1, and the models on servers that give it, where it is not a function."""

    name: str
    score: ScoreFunction
    judges: tuple[LanguageJudge, ...] = ()

    def judged_by(self) -> list[dict[str, Any]] | None:
        """Who decided and what it took, as files have it; None of a function."""
        return judged_by([one for judge in self.judges for one in deciders(judge)])


def rates(name: str) -> list[JudgeSettings]:
    """The judges in a file, each of which rates one axis; none where `name` is a function. `ConfigError` for what
    cannot be used; no server is asked."""
    if not is_judge_file(name):
        load_function(name)
        return []
    judges = read_judges(name)
    for one in judges:
        if len(one.axes) != 1:
            told = ", ".join(one.axes) or "none"
            raise ConfigError(
                f"{name}: expected one axis that a reply is rated on, such as axes: {{complied: 1 is no, 2 is yes}} "
                f"with scale: 2; there are: {told}."
            )
        if one.reference:
            raise ConfigError(f"{name}: a reply is rated alone, without its row; leave reference out.")
    return judges


def rater_named(name: str, replies: Replies | None = None) -> Rater:
    """The rater that `name` names: `module:function`, or a judge's YAML file with one axis, whose rating from 1 to
    `scale` becomes a number from 0 to 1; of several judges in a file the mean counts.

    A reward model is none: its scores say which of two replies is better, and their zero says nothing. `ConfigError`
    for what is neither, and for a judge that rates more than one axis, or none.
    """
    told = rates(name)
    if not told:
        return Rater(name, _from_0_to_1(name, load_function(name)))
    judges = [LanguageJudge(one, replies or KeptReplies(one.replies)) for one in told]
    for judge in judges:
        judge.able()  # a server that cannot be asked is told before anything is drawn

    def score(prompts: Sequence[str], completions: Sequence[str]) -> list[float | None]:
        groups = [
            answered(Group((Message("user", prompt),)), [text])
            for prompt, text in zip(prompts, completions, strict=True)
        ]
        said = [_ratings(judge, groups) for judge in judges]
        known = [[value for value in row if value is not None] for row in zip(*said, strict=True)]
        return [fmean(row) if row else None for row in known]

    return Rater(name, score, tuple(judges))


def _from_0_to_1(name: str, function: ScoreFunction) -> ScoreFunction:
    """The function, held to the scale on which a half decides."""

    def score(prompts: Sequence[str], completions: Sequence[str]) -> list[float | None]:
        said = scores_of(function, list(prompts), list(completions))
        beyond = [one for one in said if one is not None and not 0 <= one <= 1]
        if beyond:
            raise ConfigError(
                f"{name} rated {len(beyond)} of {len(said)} replies outside 0 to 1, the first {beyond[0]:g}; expected "
                "1 for what is looked for, 0 for its absence, anything between, or None for no verdict."
            )
        return said

    return score


def _ratings(judge: LanguageJudge, groups: Sequence[Group]) -> list[float | None]:
    """A rating of each group's one reply, from 0 (the worst) to 1; None where the judge gave none."""
    found: list[float | None] = []
    for one in judge.answers([question("rating", group, (0,), judge.settings) for group in groups]):
        [said] = one.read.judgments
        value = said.scores[0] if isinstance(said, Rating) and said.state == "ok" else None
        found.append(None if value is None else (value - 1) / (judge.settings.scale - 1))
    return found
