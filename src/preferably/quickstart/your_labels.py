"""Ten questions of the world for whoever runs it, and one of the answers followed through both roads."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import exp
from typing import Any, Protocol

from sqlalchemy import func, select

from preferably.data.tokens import encode
from preferably.evaluation.compare import answers
from preferably.evaluation.kept_answers import texts
from preferably.evaluation.preference import margins
from preferably.feedback.records import Group, Preference
from preferably.feedback.store.labeling_tables import tasks, turns
from preferably.feedback.store.store import Store
from preferably.judging.reward import score_groups, scorer_of
from preferably.labeling.project import project_of
from preferably.labeling.queue import Queue, Task
from preferably.models.loading import Loaded
from preferably.models.sampler import Decoding
from preferably.quickstart.phrasing import sample_prompts
from preferably.quickstart.recipe import Recipe
from preferably.quickstart.stages import asked, pair_of
from preferably.training.alarms import Warning

QUESTIONS, SPARE = 10, 4  # prompts are drawn this many times as often, as two samples of one can be the same
YOU = "you"
BATCH = "your questions"
PROJECT = project_of({
    "title": "The support desk", "version": "quickstart", "gold": {"share": 0.0},
    "guidelines": (
        "A customer writes to the desk. Which reply would you rather have? Prefer the one that **answers first**, is "
        "**right**, says so where it does not know, and does not waste your time. There is a tie, and *both bad*."
    ),
})  # fmt: skip


class Asking(Protocol):
    """Who puts questions before the user: called with the store and how many there are, it returns once all that the
    user wants to answer is answered."""

    def __call__(self, store: Store, count: int) -> None:
        """Ask."""


@dataclass
class YourLabels:
    """What the user said, and what it came to."""

    ask: Asking
    groups: list[Group] = field(default_factory=list)
    waited: float = 0.0  # seconds
    before: list[float | None] = field(default_factory=list)  # score gaps, as the reward model began

    def collect(self, recipe: Recipe, seed: int, model: Loaded, store: Store, tell: Callable[[int], None]) -> None:
        """Put new questions before the user: two new samples each, which no labeler saw."""
        prompts = sample_prompts(SPARE * QUESTIONS, seed + 3)
        decoding = Decoding(temperature=recipe.pair_temperature, max_tokens=recipe.max_tokens)
        drawn = texts(answers(model, asked(prompts), decoding, samples=2, seed=seed + 3, progress=tell))
        differ = [(prompt, a, b) for prompt, (a, b) in zip(prompts, drawn, strict=True) if a != b and a and b]
        queued = [Task(pair_of(*one)) for one in differ[:QUESTIONS]]
        began = time.perf_counter()
        Queue(store, PROJECT).add(queued, BATCH)
        self.ask(store, len(queued))
        self.waited = time.perf_counter() - began
        said = store.about([task.group for task in queued])
        chose = [
            (task.group, verdict.choice)
            for task, verdicts in zip(queued, said, strict=True)
            for verdict in verdicts
            if isinstance(verdict, Preference) and isinstance(verdict.choice, int)
        ]
        self.groups = [_chosen_first(group, choice) for group, choice in chose]

    def look(self, loaded: Loaded, _: Sequence[Group]) -> list[Warning]:
        """What the reward model says of the answers before it is trained; it has nothing to warn of."""
        self.before = gaps(loaded, self.groups)
        return []

    def trace(
        self, start: Loaded, dpo: Loaded, reward: Loaded, beta: float, held_out: Sequence[Group]
    ) -> dict[str, Any]:
        """One answer that both roads learnt from: the reward model's score gap and DPO's margin, before and after; and
        of all answers how many each road came to agree with. Empty where the user chose nothing."""
        if not self.groups:
            return {}
        after, apart = gaps(reward, self.groups), margins_of(dpo, start, self.groups, beta)
        unseen = {group.prompt for group in held_out}
        learnt = [at for at, group in enumerate(self.groups) if group.prompt not in unseen and after[at] is not None]
        agreed = {
            "reward": sum(gap is not None and gap > 0 for gap in after), "dpo": sum(margin > 0 for margin in apart)
        }  # fmt: skip
        told: dict[str, Any] = {"schema": 1, "answered": len(self.groups), "agreed": agreed, "beta": beta}
        if not learnt:
            return told | {"traced": None}
        at = learnt[0]
        chosen, rejected = (one.text for one in self.groups[at].completions)
        gap = after[at]
        return told | {"traced": {
            "prompt": self.groups[at].prompt_text, "chosen": chosen, "rejected": rejected,
            "reward": {"before": self.before[at] if self.before else None, "after": gap,
                       "chance": None if gap is None else 1 / (1 + exp(-gap))},
            "dpo": {"before": 0.0, "after": apart[at], "chance": 1 / (1 + exp(-apart[at]))},
        }}  # fmt: skip


def answered(store: Store) -> int:
    """How many of the questions were answered or skipped."""
    with store.snapshot() as connection:
        done = turns.c.state.in_(("answered", "skipped")) & (tasks.c.batch == BATCH)
        return connection.execute(select(func.count()).select_from(turns.join(tasks)).where(done)).scalar_one()


def _chosen_first(group: Group, choice: int) -> Group:
    return replace(group, completions=(group.completions[choice], group.completions[1 - choice]))


def gaps(reward: Loaded, groups: Sequence[Group]) -> list[float | None]:
    """The score of the chosen completion, which stands first, less that of the other; None where it cannot be read."""
    found = []
    for scores in score_groups(reward, groups):
        total = None if scores is None else scorer_of(reward).total(scores)
        found.append(None if total is None else float(total[0] - total[1]))
    return found


def margins_of(model: Loaded, start: Loaded, groups: Sequence[Group], beta: float) -> list[float]:
    """DPO's margin of each pair, the chosen one first: beta (log pi/ref(chosen) - log pi/ref(rejected)), nats (Rafailov
    et al. 2023, section 4)."""
    encoded = encode(groups, model.tokenizer, max_length=model.context or 1 << 20).groups
    return [beta * float(margin) for margin in margins(model.policy, start.policy, encoded)]
