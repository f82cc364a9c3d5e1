"""Which road to take, from the facts and the decision table. No torch."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from preferably.pipeline.roads import ROADS, lacks
from preferably.pipeline.rules import DECIDE, FEW, FEWEST, FIRST, SETTINGS, Rule, sure
from preferably.pipeline.situation import WANTS, Situation
from preferably.statistics.intervals import wilson
from preferably.statistics.shares import Share

SAMPLED_BY = {"ppo": ("rlhf", "rlaif", "ppo"), "rloo": ("rloo",)}  # online methods, and the roads that they are in
REWARDED = ("rlhf", "rlaif")  # roads with a reward model
PAIRED = ("dpo", "rlhf")  # roads that learn from the pairs that are there
RATES = {"sft": 1e-3, "dpo": 1e-4, "kto": 1e-4, "reward": 3e-4, "ppo": 1e-4, "rloo": 3e-4}  # of small models
BETA = 0.5  # of DPO on small models, at which it went 5 nats in two epochs


@dataclass(frozen=True, slots=True)
class Turn:
    """What would turn the advice: if `fact` were so, the road would be another, by `rule`."""

    fact: str
    road: str
    rule: str


@dataclass(frozen=True, slots=True)
class Other:
    """Another road, and why it was not taken."""

    road: str
    why_not: str


@dataclass(frozen=True, slots=True)
class Advice:
    """The road, the rule that decided it, what to do before, the rules of its settings, and what would turn it."""

    situation: Situation
    road: str
    decided: Rule
    first: tuple[Rule, ...]
    settings: tuple[Rule, ...]
    others: tuple[Other, ...]
    turns: tuple[Turn, ...]

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All that spoke."""
        return (*self.first, self.decided, *self.settings)

    @property
    def guarded(self) -> bool:
        """Whether a second reward model is to watch."""
        return any(rule.name == "guard" for rule in self.first)

    def trainings(self) -> dict[str, dict[str, Any]]:
        """The settings of each training on the road, by method, as far as they are not the defaults."""
        names = {rule.name for rule in self.settings}
        before = ("sft",) if self.road not in ("sft", "collect") and _teaches(self.situation) else ()
        found: dict[str, dict[str, Any]] = {name: {} for name in (*before, *methods_of(self.road))}
        for method, own in found.items():
            if "small-model" in names:
                own["learning_rate"] = RATES[method]
                own |= {"beta": BETA} if method == "dpo" else {}
            if "lora" in names:
                own["lora"] = True
            if "kl" in names and method in SAMPLED_BY:
                own["kl_coef"] = 0.2
            if "trust" in names and method in ("dpo", "reward"):
                own["aggregate"] = "posterior"
            if "margin" in names and method == "reward":
                own["margin"] = 1.0
        return found

    def as_json(self) -> dict[str, Any]:
        """All of it, for programs."""

        def told(rule: Rule) -> dict[str, Any]:
            return {
                "rule": rule.name, "when": rule.when, "then": rule.then, "why": rule.why, "basis": rule.basis,
                "sure": sure(rule, self.situation), "evidence": list(rule.evidence),
            }  # fmt: skip

        return {
            "schema": 1, "road": self.road, "does": ROADS[self.road].does, "decided": told(self.decided),
            "first": [told(rule) for rule in self.first], "settings": [told(rule) for rule in self.settings],
            "trainings": self.trainings(),
            "others": [{"road": one.road, "why_not": one.why_not} for one in self.others],
            "would_change": [{"if": one.fact, "road": one.road, "rule": one.rule} for one in self.turns],
            "situation": self.situation.as_json(),
        }  # fmt: skip


def _teaches(situation: Situation) -> bool:
    """Whether demonstrations are there for a model that may need them."""
    return situation.demonstrations > 0 and situation.ready is not True


def methods_of(road: str) -> tuple[str, ...]:
    """The trainings that a road consists of, in their order."""
    by_road = {
        "rlhf": ("reward", "ppo"),
        "rlaif": ("reward", "ppo"),
        "dpo-own": ("dpo",),
        "collect": (),
        "best-of-n": (),
    }
    return by_road.get(road, (road,))


def advise(situation: Situation) -> Advice:
    """The first row of the table that holds decides; every other rule that holds is told."""
    decided = decide(situation)
    road = decided.then
    settings = tuple(rule for rule in SETTINGS if rule.holds(situation) and _concerns(rule, road))
    first = tuple(rule for rule in FIRST if rule.holds(situation) and _comes_before(rule, road, situation))
    return Advice(situation, road, decided, first, settings, tuple(_others(situation, road)), tuple(_turns(situation)))


def decide(situation: Situation) -> Rule:
    """The row of the table that names the road."""
    return next(rule for rule in DECIDE if rule.holds(situation))


def _concerns(rule: Rule, road: str) -> bool:
    methods = methods_of(road)
    if rule.name == "kl":
        return any(method in SAMPLED_BY for method in methods)
    if rule.name in ("margin", "trust"):
        return road in REWARDED or (rule.name == "trust" and road == "dpo")
    return bool(methods)


def _comes_before(rule: Rule, road: str, situation: Situation) -> bool:
    """Whether it matters for this road: fine-tuning makes a model ready, and where there is nothing nothing is odd."""
    of_pairs = road in PAIRED or situation.pairs >= FEWEST  # few pairs beside something better teach nothing
    concerns = {
        "test-the-reward": road in REWARDED,
        "guard": road in REWARDED,
        "fit-the-reward": road in REWARDED or (road == "dpo" and situation.pairs < FEW),
        "too-few": of_pairs,
        "agreement-unknown": of_pairs,
        "length": of_pairs,
        "few-thumbs": road == "kto",
        "one-sided-thumbs": road == "kto",
        "not-ready": road not in ("sft", "collect"),
        "ready-unknown": road not in ("sft", "collect"),
        # This is told of the model as it is, before fine-tuning.
        "not-its-own": of_pairs and road != "dpo-own" and situation.ready is not False,
    }
    return concerns.get(rule.name, True)


def _others(situation: Situation, road: str) -> Iterator[Other]:
    """Roads that could be taken first, those of further rows before the rest; then those that lack something."""
    rows = [rule.then for rule in DECIDE if rule.holds(situation)]
    names = [name for name in dict.fromkeys([*rows, *ROADS]) if name not in (road, "collect")]
    for name in (one for one in names if not lacks(ROADS[one], situation)):
        yield Other(name, ROADS[name].price)
    for name in (one for one in names if lacks(ROADS[one], situation)):
        yield Other(name, f"needs {lacks(ROADS[name], situation)}, and there is none")


def _turns(situation: Situation) -> Iterator[Turn]:
    """Facts that would turn the road: each is changed alone, and the table asked again."""
    road, seen = decide(situation).then, set()
    for fact, changed in _changes(situation):
        rule = decide(changed)
        if rule.then != road and (rule.then, rule.name) not in seen:
            seen.add((rule.then, rule.name))
            yield Turn(fact, rule.then, rule.name)
    wants: dict[Rule, list[str]] = {}
    for want in WANTS:
        rule = decide(replace(situation, want=want))
        if rule.then != road:
            wants.setdefault(rule, []).append(want)
    for rule, names in wants.items():
        yield Turn(f"you wanted {' or '.join(names)} (--want)", rule.then, rule.name)


def _changes(s: Situation) -> Iterator[tuple[str, Situation]]:
    """(what would be so, the situation in which it is), of each count the one at which a row of the table begins."""
    yield from _counts(s)
    if FEWEST <= s.pairs < FEW:
        yield "two people were found to agree on 82% or less (10% or more of the verdicts wrong)", _noisy(s)
        yield "two people were found to agree on more than 82%", replace(s, agreement=_agreement(0.9))
    if s.pairs >= FEWEST and (s.own != "no" or s.ready is False):
        once = "once it is fine-tuned " if s.ready is False else ""
        yield f"{once}the answers turned out to be others', and a judge or function judged new ones", replace(
            s, own="no", ready=None, judge=True
        )  # fmt: skip
    elif s.pairs >= FEWEST:
        yield "the answers were the model's own", replace(s, own="yes")
        yield "a judge or function judged new answers", replace(s, judge=True)
    ask = "" if s.prompts else ", and prompts to ask"
    yield f"there were a judge{ask}", replace(s, judge=True, prompts=max(s.prompts, 1))
    yield f"there were a function that scores answers{ask}", replace(s, function=True, prompts=max(s.prompts, 1))
    if s.judge or s.function:
        yield "there were no judge and no function", replace(s, judge=False, function=False)


def _counts(s: Situation) -> Iterator[tuple[str, Situation]]:
    if s.pairs >= FEW:
        few = replace(s, pairs=FEW - 1)
        yield f"there were {FEWEST:,} to {FEW - 1:,} pairs", few
        yield f"there were {FEWEST:,} to {FEW - 1:,} pairs, 10% or more of the verdicts wrong", _noisy(few)
    if s.pairs >= FEWEST:
        yield f"there were fewer than {FEWEST:,} pairs", replace(s, pairs=FEWEST - 1)
    # From a quarter of the thumbs on pairs say more than these.
    for pairs in sorted({1, -(-s.labels // 4), FEWEST, FEW}):
        if s.pairs < pairs and (pairs <= FEWEST or pairs == FEW):
            little = f" or more (fewer than {FEWEST:,} teach little)" if pairs < FEWEST else ""
            yield f"there were {pairs:,} {'pairs' if pairs > 1 else 'pair'}{little}", replace(s, pairs=pairs)
    if 0 < s.labels < FEWEST:
        yield f"there were {FEWEST:,} thumbs", replace(s, labels=FEWEST)


def _noisy(s: Situation) -> Situation:
    return replace(s, agreement=_agreement(0.75))


def _agreement(value: float) -> Share:
    return Share(value, 500, wilson(value * 500, 500))
