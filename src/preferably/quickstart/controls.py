"""Is the world fair? Controls that show that nothing but the truth wins in it.

They use replies drawn from the demonstrations' habits, which is what a model fine-tuned on them says.
"""

from collections.abc import Callable, Sequence
from random import Random

from preferably.quickstart.desk import BY_NAME, TOPICS
from preferably.quickstart.grammar import legal_units
from preferably.quickstart.phrasing import Prompt, sample_prompts
from preferably.quickstart.replies import MIXTURE, Habits, write_reply
from preferably.quickstart.topic import DECLINE, UNSURE
from preferably.quickstart.truth import score_reply

Pair = tuple[Prompt, str, str]
Feature = Callable[[str], float]

# A model that has learnt what the labels can teach: 95% on correctness and on every axis of style.
STYLED = {"pitch_first": 0.05, "pitch_late": 0.05, "warm": 0.95, "cold": 0.02, "filler": 0.05}
IDEAL = Habits(correct=0.95, **STYLED)
STYLE_ONLY = Habits(correct=MIXTURE.correct, **STYLED)
CORRECTNESS_ONLY = Habits(correct=0.95)
EQUAL = 1e-9  # totals nearer than this are the same


def sample_pairs(n: int, seed: int, first: Habits = MIXTURE, second: Habits = MIXTURE) -> list[Pair]:
    """Pairs of replies with these habits to held-out prompts."""
    random = Random(f"pairs {seed}")
    return [
        (prompt, write_reply(BY_NAME[prompt.topic], random, first), write_reply(BY_NAME[prompt.topic], random, second))
        for prompt in sample_prompts(n, seed, "held_out")
    ]


def truth_gap(pair: Pair) -> float:
    """By how much the first reply of a pair is better than the second."""
    prompt, a, b = pair
    return score_reply(prompt, a).total - score_reply(prompt, b).total


def win_rate(habits: Habits, against: Habits = MIXTURE, n: int = 2000, seed: int = 0) -> float:
    """How often replies with these habits are better under the truth; ties count half."""
    gaps = [truth_gap(pair) for pair in sample_pairs(n, seed, habits, against)]
    return sum(0.5 if abs(gap) < EQUAL else float(gap > 0) for gap in gaps) / n


def features() -> dict[str, Feature]:
    """Everything that a shortcut could go by: length, and each part and each sentence that a reply may have."""
    found: dict[str, Feature] = {"longer": lambda reply: len(reply.split())}
    parts = {
        "a warm opener": ("warm",),
        "a cold opener": ("cold",),
        "a closer": ("closer",),
        "a filler": ("filler",),
        "a pitch": ("pitch",),
    }
    for name, wanted in parts.items():
        openings = [unit.sentences[0] for unit in legal_units() if unit.part in wanted]
        found[name] = _contains(openings)
    late = [unit.sentences[0] for unit in legal_units() if unit.part == "pitch" and len(unit.sentences) == 1]
    early = [unit.sentences[0] for unit in legal_units() if unit.part == "pitch" and len(unit.sentences) > 1]
    found |= {"an early pitch": _contains(early), "a late pitch": _contains(late)}
    for unit in legal_units():
        found |= {sentence: _contains([sentence]) for sentence in unit.sentences}
    return found


def _contains(texts: Sequence[str]) -> Feature:
    return lambda reply: float(any(text in reply for text in texts))


def feature_agreement(pairs: Sequence[Pair]) -> dict[str, float]:
    """For each feature, how often the reply that has it (or less of it) is the better one, whichever agrees more.

    Pairs on which the truth is indifferent are left out; pairs on which the feature is count half.
    """
    gaps = [(a, b, gap) for _, a, b, gap in ((*pair, truth_gap(pair)) for pair in pairs) if abs(gap) > EQUAL]
    table = {}
    for name, feature in features().items():
        values = [(feature(a) - feature(b), gap) for a, b, gap in gaps]
        agreement = sum(0.5 if value == 0 else float((value > 0) == (gap > 0)) for value, gap in values) / len(values)
        table[name] = max(agreement, 1 - agreement)
    return table


def degenerate_policies() -> dict[str, Callable[[Prompt], str]]:
    """Policies that should never pay, in the best style where they have one."""
    unsure, decline = " ".join(UNSURE), " ".join(DECLINE)
    longest = max((" ".join(topic.answer) for topic in TOPICS), key=len)
    shortest = min((" ".join(topic.answer) for topic in TOPICS), key=len)
    return {
        "always unsure": lambda prompt: f"Thanks for asking! {unsure}",
        "always decline": lambda prompt: f"Thanks for asking! {decline}",
        "always the same answer": lambda prompt: f"Thanks for asking! {' '.join(TOPICS[0].answer)}",
        "always the longest answer": lambda prompt: f"Thanks for asking! {longest}",
        "always the shortest answer": lambda prompt: f"Thanks for asking! {shortest}",
        "empty": lambda prompt: "",
        "opener only": lambda prompt: "Thanks for asking!",
        "the right answer again and again": lambda prompt: " ".join(BY_NAME[prompt.topic].answer * 4),
        "every answer at once": lambda prompt: " ".join(sentence for topic in TOPICS for sentence in topic.answer),
        "gibberish": lambda prompt: "the plan the plan of of month card card to to.",
        "echo": lambda prompt: prompt.text,
    }


def mean_score(policy: Callable[[Prompt], str], n: int = 1000, seed: int = 0) -> float:
    """The mean total of a policy on held-out prompts."""
    return sum(score_reply(prompt, policy(prompt)).total for prompt in sample_prompts(n, seed, "held_out")) / n
