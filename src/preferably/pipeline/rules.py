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
FITTED = 100  # pairs: the fewest that a reward was fitted to
NOISY = 0.82  # how often two labelers agree where each is wrong in 10%
CHANCE = 0.6  # an interval of agreement with a half in it that ends below this is chance, and not too few questions
SAME = 0.95  # the share of thumbs that say the same, from which they are one-sided
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
    return s.agreed is not None and s.agreed.interval.high <= NOISY


def _leans(s: Situation) -> bool:
    if s.longer is None:
        return False
    low, high = s.longer.interval.low, s.longer.interval.high
    return abs(s.longer.value - 0.5) >= LEANING - 0.5 and (low > 0.5 or high < 0.5)


def _chance(s: Situation) -> bool:
    return s.agreement is not None and s.agreement.interval.low <= 0.5 and s.agreement.interval.high <= CHANCE


def _scored(s: Situation) -> bool:
    """Whether a function can score answers to prompts, and pairs are too few to be preferred to it."""
    return s.function and s.prompts > 0 and s.pairs < FEWEST


def _judged(s: Situation) -> bool:
    return s.judge and s.prompts > 0 and s.pairs < FEWEST


def _thumbed(s: Situation) -> bool:
    """Whether thumbs say more than the few pairs (in a store each is counted as two thumbs), and than what else there
    is."""
    more = s.labels > 4 * s.pairs and s.pairs < FEWEST
    return more and not _scored(s) and not (_judged(s) and s.labels < FEWEST)


FIRST: tuple[Rule, ...] = (
    Rule(
        "rows-at-fault", "first", "a run would refuse the data", "Mend the data: `preferably data check` says where.",
        "opinion", "Rows at fault, or held-out prompts that are trained on, make every figure after them wrong.",
        ("docs/data.md",), lambda s: bool(s.stops),
    ),
    Rule(
        "would-not-begin", "first", "a training on the road was tried, and would not begin",
        "Mend what keeps it from beginning.",
        "opinion", "`preferably train` with `--dry-run` says it of any settings.", ("docs/estimates.md",),
        lambda s: bool(s.refused),
    ),
    Rule(
        "contradicting", "first", 
        "labelers agree no better than by chance (50% in the interval, 60% not), or over 5% of rows contradict others",
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
        "too-few", "first", "fewer than 500 pairs, and the road is theirs", "Collect more verdicts.",
        "measured",
        "452 pairs taught a reward model nothing (49 to 50% of 582 new ones), 766 pairs of another set 77%. From 100 "
        "to 800 labels each doubling brought 2 to 3 points.",
        (REWARDS, SELECTION), lambda s: 0 < s.pairs < FEWEST,
    ),
    Rule(
        "one-sided-thumbs", "first", "95% or more of thumbs say the same, and the road is theirs",
        "Collect thumbs of the other kind: where answers fail if all are good, where they are right if all are bad.",
        "opinion",
        "KTO tells good answers from bad ones; of one kind it can only write more, or less, like them.",
        ("docs/data.md",), lambda s: s.good is not None and max(s.good, 1 - s.good) >= SAME,
    ),
    Rule(
        "few-thumbs", "first", "fewer than 500 thumbs, and the road is theirs", "Collect more thumbs.",
        "opinion",
        "What few thumbs teach was not measured; a thumb says less than a pair, and 452 pairs taught a reward model "
        "nothing.",
        ("docs/data.md",), lambda s: 0 < s.labels < FEWEST,
    ),
    Rule(
        "fit-the-reward", "first", "a reward model is on the road, or DPO on 100 to 2,000 pairs",
        "Fit a reward too, in seconds: `preferably reward fit --model M --data PAIRS --output runs/fitted`, and choose "
        "by it (best of n, which questions to ask next). To train against, a trained one did better by some points "
        "where there were thousands of pairs (docs/reward.md).",
        "measured",
        "In the quickstart's world a reward fitted to 100 verdicts knew the truth on 74 to 75% of new pairs, and one "
        "trained on 800 on 70%.",
        (SELECTION,), lambda s: s.pairs >= FITTED or s.judge,
    ),
    Rule(
        "agreement-unknown", "first",
        "no two labelers judged the same, or too little to tell (an interval of more than 30 points)",
        "Give a tenth of the prompts to three people; it tells how noisy the rest is.",
        "published", "People who compare answers agree on 63 to 77%; without overlap nobody knows about these.",
        ("https://arxiv.org/abs/2204.05862", "https://arxiv.org/abs/2203.02155"),
        lambda s: s.pairs > 0 and s.agreed is None,
    ),
    Rule(
        "length", "first", "the longer (or the shorter) answer is the chosen one in 65% or more",
        "Evaluate at equal length too (docs/evaluation.md), and watch `length_drift`; or balance the pairs.",
        "published",
        "Who learns from the pairs learns their lengths too (published of DPO, where the chosen ones are longer); a "
        "win rate then says little of what is in the answers.",
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
        "baseline", "first", "there is a function, and fewer than 500 pairs",
        "Look at best of 16 before anything is trained: `preferably evaluate --best-of 16`.",
        "measured",
        "Best of n needs no training and was ahead of DPO and IPO at every KL that it reaches: 93% at 1.8 nats with "
        "n = 16, where DPO took 5 to 6 nats to 95%.",
        (STORIES,), _scored,
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
        "Give PPO a second reward model, of the other half of the labels: `guard: {}` in a job, `--guard` by hand "
        "(docs/ppo.md).",
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
        lambda s: not (s.feedback or ((s.judge or s.function) and s.prompts)),
    ),
    Rule(
        "thumbs", "road", "more than four thumbs a pair, fewer than 500 pairs; no function, and 500 thumbs or no judge",
        "kto", "published",
        "Pairs would have to be made up; KTO reads each thumb as it is.", ("https://arxiv.org/abs/2402.01306",),
        _thumbed,
    ),
    Rule(
        "function-limited", "road", "a function, fewer than 500 pairs, limited computing", "dpo-own", "measured",
        "Pairs of its own answers, the better by a rule first: 95% over the start at 6 nats, with 963 pairs, after 1.5 "
        "minutes on a core.",
        (STORIES,), lambda s: _scored(s) and s.want == "limited",
    ),
    Rule(
        "function-research", "road", "a function, fewer than 500 pairs, research", "rloo", "measured",
        "About half of PPO's time; at 8 nats three seeds tell no difference, beyond that PPO is ahead.",
        (ONLINE,), lambda s: _scored(s) and s.want == "research",
    ),
    Rule(
        "function", "road", "a function, fewer than 500 pairs", "ppo", "measured",
        "Of what was trained against one reward PPO had most of the truth (quotation marks) at each KL: 3.1 at 6.4 "
        "nats, 4.5 at 10; RLOO 3.4 at 8 and 5.3 at 14.7, where PPO had 3.7 and 5.7.",
        (ONLINE,), _scored,
    ),
    Rule(
        "judge-quick", "road", "a judge, fewer than 500 pairs; research or limited computing", "dpo-own", "published",
        "DPO on its own answers, newly judged, did better than on a file of others'.",
        ("https://arxiv.org/abs/2402.04792",), lambda s: _judged(s) and s.want in ("research", "limited"),
    ),
    Rule(
        "judge", "road", "a judge, fewer than 500 pairs", "rlaif", "published",
        "A reward model of the judge's verdicts can be tested before anything is trained against it.",
        ("https://arxiv.org/abs/2212.08073", "https://arxiv.org/abs/2309.00267"), _judged,
    ),
    Rule(
        "explain", "road", "pairs that must be explained", "rlhf", "measured",
        "A reward model can be taken apart (`preferably reward explain`), and no loss of quality was told: over five "
        "seeds PPO and DPO are not told apart (3 points less in the mean).",
        (QUICKSTART,), lambda s: s.want == "explain" and s.pairs > 0,
    ),
    Rule(
        "few-and-noisy", "road",
        "500 to 2,000 pairs, 10% or more of verdicts wrong by the whole interval of agreement; not limited",
        "rlhf", "measured",
        "Of 1,845 noisy pairs for more quotation marks PPO made 3.1 marks at 6.4 nats of KL, and DPO 0.6 at 4.9 and "
        "0.9 at 8.4 while its held-out loss rose. A published study wants 2,000 pairs for a reward model; this reward "
        "was easy to learn.",
        (ONLINE, "https://arxiv.org/abs/2210.10760"),
        lambda s: s.want != "limited" and FEWEST <= s.pairs < FEW and _noisy(s),
    ),
    Rule(
        "production", "road", "2,000 pairs or more, for production", "rlhf", "measured",
        "A win rate that five seeds do not tell from DPO's (3 points less in the mean) for less KL on each, and a "
        "reward that can be watched; in 2.0 to 2.3 times the time.",
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
        "Over five seeds no difference was told between DPO and PPO (DPO 3 points ahead in the mean), and DPO took "
        "0.44 to 0.51 of the time. Published studies see PPO ahead; at this size that was not seen.",
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
    if rule.evidence == (LABELERS,):
        return "measured on labels alone, whatever the model"
    doubts = []
    if rule.kind == "road" and QUICKSTART in rule.evidence and pairs < MANY:
        doubts.append(f"with {pairs:,} pairs, as 8,400 were measured")
    if _beyond(situation):
        size = "on larger models" if weights is None else f"at {weights / 1e6:,.0f} million weights"
        doubts.append(f"{size}, as models of 0.3 to 1 million weights were measured")
    return f"measured; not sure {', and '.join(doubts)}" if doubts else "measured on models of about this size"


def basis(rule: Rule, situation: Situation) -> str:
    """What a rule rests on, in short; where what was measured is far from the model at hand, that too."""
    small = rule.basis == "measured" and rule.evidence != (LABELERS,) and _beyond(situation)
    return "measured on models of 0.3 to 1 million weights only" if small else rule.basis


def _beyond(situation: Situation) -> bool:
    return situation.weights is None or situation.weights > 10 * MEASURED_UP_TO
