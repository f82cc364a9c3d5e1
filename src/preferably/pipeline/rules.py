"""The decision table of advice: what holds, what follows, and on what that rests. No torch.

docs/advise.md shows the same table, and tests hold the rules called `measured` against the files of bench/results/.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from preferably.pipeline.situation import Situation

Basis = Literal["measured", "published", "opinion"]
Kind = Literal["first", "road", "setting"]

FEW = 2_000  # pairs: at 1,845 a reward model and PPO were ahead, at 8,400 level; between them nothing was measured
MANY = 8_000  # pairs from which on the quickstart's figures are about those of as many
FEWEST = 500  # pairs: 452 taught a reward model nothing, 766 did
NOISY = 0.1  # the share of wrong verdicts; two labelers then agree on 82%
CONTRADICTED = 0.05  # the share of rows that contradict an earlier one, as of the data gate
LEANING = 0.65  # how often one of the longer and the shorter answer is the chosen one
SMALL = 10_000_000  # weights up to which the measured learning rates are advised
MEASURED_UP_TO = 1_000_000  # weights of the largest model that anything here was measured on, about

QUICKSTART, CONTROLS = "bench/results/quickstart.json", "bench/results/quickstart_controls.json"
ONLINE, STORIES = "bench/results/online_frontier.json", "bench/results/stories_frontier.json"
PIPELINE, SELECTION = "bench/results/real_pipeline.json", "bench/results/selection.json"
REWARDS, LABELERS = "bench/results/reward_vs_trl.json", "bench/results/labelers.json"


@dataclass(frozen=True, slots=True)
class Rule:
    """`when` it holds `then` follows, because of `why`. `then` of a road is its name, of a setting a dotted key of
    `roads.SETTINGS`, and of what comes first what to do."""

    name: str
    kind: Kind
    when: str
    then: str
    basis: Basis
    why: str
    evidence: tuple[str, ...]
    holds: Callable[[Situation], bool]


def _noisy(s: Situation) -> bool:
    return s.wrong is not None and s.wrong >= NOISY


def _leans(s: Situation) -> bool:
    if s.longer is None:
        return False
    low, high = s.longer.interval.low, s.longer.interval.high
    return abs(s.longer.value - 0.5) >= LEANING - 0.5 and (low > 0.5 or high < 0.5)


def _chance(s: Situation) -> bool:
    return s.agreement is not None and s.agreement.interval.low <= 0.5


def _alone(s: Situation) -> bool:
    return bool(s.pairs) and s.agreement is None


FIRST: tuple[Rule, ...] = (
    Rule(
        "rows-at-fault", "first", "a run would refuse the data", "Mend the data: `preferably data check` says where.",
        "opinion", "Rows at fault, or held-out prompts that are trained on, make every figure after them wrong.",
        ("docs/data.md",), lambda s: bool(s.stops),
    ),
    Rule(
        "contradicting", "first", "labelers agree no better than by chance, or over 5% of rows contradict others",
        "Mend the labels: what better means, who judges, which prompts are ambiguous (`preferably label agreement`).",
        "measured", "DPO on shuffled labels won 47 to 54% on three seeds, and nothing but a rising held-out loss told.",
        (CONTROLS,), lambda s: _chance(s) or s.conflicts > CONTRADICTED,
    ),
    Rule(
        "not-ready", "first", "the model's answers do not end, hold together, or come out right now and then",
        "Fine-tune it first on demonstrations of the whole task, until `preferably ready` says so.",
        "measured",
        "Preferences choose among what it says already. DPO on a model that was not ready ended with a higher held-out "
        "loss than it began with, 0.74 for 0.69.",
        (PIPELINE, "https://arxiv.org/abs/2203.02155"), lambda s: s.ready is False,
    ),
    Rule(
        "ready-unknown", "first", "nobody looked whether the model can do the task", "Look: `preferably ready`.",
        "opinion", "It takes a minute, and what it finds comes before all else.", ("docs/evaluation.md",),
        lambda s: s.ready is None,
    ),
    Rule(
        "too-few", "first", "fewer than 500 pairs, and neither judge nor function", "Collect more verdicts.",
        "measured",
        "452 pairs taught a reward model nothing (49 to 50% of 582 new ones), 766 pairs of another set 77%. From 100 "
        "to 800 labels each doubling brought 2 to 3 points.",
        (REWARDS, SELECTION), lambda s: 0 < s.pairs < FEWEST and not (s.judge or s.function),
    ),
    Rule(
        "agreement-unknown", "first", "no two labelers judged the same",
        "Give a tenth of the prompts to three people; it tells how noisy the rest is.",
        "published", "People who compare answers agree on 63 to 77%; without overlap nobody knows about these.",
        ("https://arxiv.org/abs/2204.05862", "https://arxiv.org/abs/2203.02155"), _alone,
    ),
    Rule(
        "length", "first", "the longer (or the shorter) answer is the chosen one in 65% or more",
        "Evaluate at equal length too (docs/evaluation.md), and watch `length_drift`; or balance the pairs.",
        "published",
        "DPO makes answers longer where the chosen ones are; a win rate then says little of what is in them.",
        ("https://arxiv.org/abs/2403.19159",), _leans,
    ),
    Rule(
        "not-its-own", "first", "the answers that were judged are not the model's own",
        "Have some of its own answers judged (`preferably sample`, then `preferably label`, or a judge).",
        "measured",
        "One run of DPO on pairs that others had written: the held-out loss fell from 0.69 to 0.30, and the answers "
        "won 47.5% [44.5, 49.5] over the start. Published studies are for its own answers mostly, not always.",
        (PIPELINE, "https://arxiv.org/abs/2404.14367", "https://arxiv.org/abs/2508.10530"),
        lambda s: s.own == "no" and s.pairs > 0,
    ),
    Rule(
        "baseline", "first", "there is a function, and no pairs",
        "Look at best of 16 before anything is trained: `preferably evaluate --best-of 16`.",
        "measured",
        "Best of n needs no training and was ahead of DPO and IPO at every KL that it reaches: 93% at 1.8 nats with "
        "n = 16, where DPO took 5 to 6 nats to 95%.",
        (STORIES,), lambda s: s.function and not s.pairs,
    ),
    Rule(
        "test-the-reward", "first", "a reward model is on the road",
        "Before PPO: `preferably evaluate --reward-model` on verdicts that it never saw.",
        "measured",
        "PPO goes where the reward points, right or wrong. Go on where the interval of its accuracy is above a coin "
        "and above the longer answer; one of 452 pairs was a coin.",
        (REWARDS,), lambda s: True,
    ),
    Rule(
        "guard", "first", "production, and a reward model is on the road",
        "Split the labels in two, and give PPO a second reward model as `--guard` (docs/ppo.md).",
        "published", "A model that nothing is trained against tells where the reward is gamed.",
        ("https://arxiv.org/abs/2204.05862",), lambda s: s.want == "production",
    ),
)  # fmt: skip

DECIDE: tuple[Rule, ...] = (
    Rule(
        "nothing", "road", "no feedback, no demonstrations, and no judge or function with prompts to ask", "collect",
        "opinion",
        "Nothing says which answers are better.", ("docs/labeling.md", "docs/judges.md"),
        lambda s: not (s.feedback or s.demonstrations or ((s.judge or s.function) and s.prompts)),
    ),
    Rule(
        "demonstrations-only", "road", "demonstrations alone", "sft", "published",
        "They show what is right; what is better they cannot say.", ("https://arxiv.org/abs/2203.02155",),
        lambda s: not (s.feedback or s.judge or s.function),
    ),
    Rule(
        "thumbs", "road", "thumbs, no pairs, no function", "kto", "published",
        "Pairs would have to be made up; KTO reads each thumb as it is.", ("https://arxiv.org/abs/2402.01306",),
        lambda s: s.labels > 0 and not s.pairs and not s.function,
    ),
    Rule(
        "function-limited", "road", "a function, no pairs, limited computing", "dpo-own", "measured",
        "Pairs of its own answers, the better by a rule first: 95% over the start at 6 nats, with 963 pairs, after 1.5 "
        "minutes on a core.",
        (STORIES,), lambda s: s.function and not s.pairs and s.want == "limited",
    ),
    Rule(
        "function-research", "road", "a function, no pairs, research", "rloo", "measured",
        "About half of PPO's time; at 8 nats three seeds tell no difference, beyond that PPO is ahead.",
        (ONLINE,), lambda s: s.function and not s.pairs and s.want == "research",
    ),
    Rule(
        "function", "road", "a function, no pairs", "ppo", "measured",
        "Of what was trained against one reward PPO had most of the truth (quotation marks) at each KL: 3.1 at 6.4 "
        "nats, 4.5 at 10; RLOO 3.4 at 8 and 5.3 at 14.7, where PPO had 3.7 and 5.7.",
        (ONLINE,), lambda s: s.function and not s.pairs,
    ),
    Rule(
        "judge-quick", "road", "a judge, no pairs; research or limited computing", "dpo-own", "published",
        "DPO on its own answers, newly judged, did better than on a file of others'.",
        ("https://arxiv.org/abs/2402.04792",), lambda s: s.judge and not s.pairs and s.want in ("research", "limited"),
    ),
    Rule(
        "judge", "road", "a judge, no pairs", "rlaif", "published",
        "A reward model of the judge's verdicts can be tested before anything is trained against it.",
        ("https://arxiv.org/abs/2212.08073", "https://arxiv.org/abs/2309.00267"), lambda s: s.judge and not s.pairs,
    ),
    Rule(
        "explain", "road", "pairs that must be explained", "rlhf", "measured",
        "A reward model can be taken apart (`preferably reward explain`), and no loss of quality was seen: over five "
        "seeds PPO and DPO win alike.",
        (QUICKSTART,), lambda s: s.want == "explain" and s.pairs > 0,
    ),
    Rule(
        "few-and-noisy", "road", "500 to 2,000 pairs, 10% or more of verdicts wrong; not limited", "rlhf", "measured",
        "Of 1,845 noisy pairs for more quotation marks PPO made 3.1 marks at 6.4 nats of KL, and DPO 0.6 at 4.9 and "
        "0.9 at 8.4 while its held-out loss rose. A published study wants 2,000 pairs for a reward model; this reward "
        "was easy to learn.",
        (ONLINE, "https://arxiv.org/abs/2210.10760"),
        lambda s: s.want != "limited" and FEWEST <= s.pairs < FEW and _noisy(s),
    ),
    Rule(
        "production", "road", "2,000 pairs or more, for production", "rlhf", "measured",
        "The same win rate as DPO for less KL on each of five seeds, and a reward that can be watched; in 2.3 to 2.5 "
        "times the time.",
        (QUICKSTART, "https://arxiv.org/abs/2404.10719"), lambda s: s.want == "production" and s.pairs >= FEW,
    ),
    Rule(
        "judged-anew", "road", "pairs of others' answers, a judge or function, and a model not known to be unready",
        "dpo-own", "published",
        "What it writes itself can be judged, so it need not learn from what it would never say.",
        ("https://arxiv.org/abs/2404.14367", "https://arxiv.org/abs/2402.04792"),
        lambda s: s.own == "no" and s.ready is not False and s.pairs > 0 and (s.judge or s.function),
    ),
    Rule(
        "pairs", "road", "pairs", "dpo", "measured",
        "Over five seeds DPO and PPO win alike, and DPO took 0.41 to 0.44 of the time. Published studies see PPO "
        "ahead; at this size that was not seen.",
        (QUICKSTART, "https://arxiv.org/abs/2404.10719"), lambda s: s.pairs > 0,
    ),
)  # fmt: skip

SETTINGS: tuple[Rule, ...] = (
    Rule(
        "trust", "setting", "three labelers with 30 shared verdicts each, two answers a prompt", "aggregate: posterior",
        "measured",
        "Counting labelers by what they are worth had 7 to 10% wrong labels where the majority had 18 to 19%, and as "
        "many where all are alike.",
        (LABELERS,), lambda s: s.busy and s.many == 0 and s.pairs > 0,
    ),
    Rule(
        "kl", "setting", "PPO or RLOO", "kl_coef: 0.2", "measured",
        "The default, 0.05, went 17 and 22 nats from the start and raised `kl_high`; 0.2 stayed at 6 to 8.",
        (ONLINE,), lambda s: True,
    ),
    Rule(
        "small-model", "setting", "fewer than 10 million weights",
        "learning_rate: 1e-4 (DPO, PPO), 3e-4 (reward, RLOO), 1e-3 (SFT)",
        "measured", "The defaults are for billions of weights. These were the best of three, or tuned on other seeds.",
        (ONLINE, STORIES, QUICKSTART), lambda s: s.weights is not None and s.weights < SMALL,
    ),
    Rule(
        "lora", "setting", "training all weights does not fit the memory", "lora: true", "published",
        "Adapters need no gradients and moments of the rest, and no second model as the reference.",
        ("https://arxiv.org/abs/2106.09685",), lambda s: s.fits is False,
    ),
    Rule(
        "margin", "setting", "a reward model, and most pairs say how much better", "margin: 1", "published",
        "A reward model that has to be further ahead on clear cases was more accurate on these.",
        ("https://arxiv.org/abs/2307.09288",), lambda s: (s.strong or 0.0) > 0.5,
    ),
)  # fmt: skip

RULES = (*FIRST, *DECIDE, *SETTINGS)


def sure(rule: Rule, situation: Situation) -> str:
    """How far to believe a rule here, in words: what was measured was small models, and 8,400 pairs or 1,845."""
    weights, pairs = situation.weights, situation.pairs
    if rule.basis == "opinion":
        return "opinion"
    if rule.basis == "published":
        return "published, not measured here"
    doubts = []
    if rule.kind == "road" and QUICKSTART in rule.evidence and pairs < MANY:
        doubts.append(f"with {pairs:,} pairs, as 8,400 were measured")
    if weights is None or weights > 10 * MEASURED_UP_TO:
        size = "on larger models" if weights is None else f"at {weights / 1e6:,.0f} million weights"
        doubts.append(f"{size}, as models of 0.3 to 1 million weights were measured")
    return f"measured; not sure {', and '.join(doubts)}" if doubts else "measured on models of about this size"
