"""What advice is given on: what the user wants and has, and what was found of data, model and machine. No torch."""

from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any, Literal

from preferably.statistics.shares import Share

Want = Literal["production", "research", "limited", "explain"]
WANTS: dict[Want, str] = {
    "production": "a model that people will use, whose failures can be seen coming",
    "research": "quick rounds of trying things out",
    "limited": "as little computing as will do",
    "explain": "preferences that are complex, and must be explained afterwards",
}
Own = Literal["yes", "no", "mixed"]  # whether the answers that were judged are the model's own
WIDEST = 0.3  # an interval of agreement that is wider (of fewer than about 35 questions) tells nothing


@dataclass(frozen=True, slots=True)
class Situation:
    """Facts. Counts are of groups that a training could use; None is what is not known, and `why` says why.

    `busy`: whether three labelers each answered enough of what others did to be told apart (`feedback.trust`).
    `judge` is a language model that compares answers, `function` whatever gives an answer a score.
    """

    want: Want
    judge: bool = False
    function: bool = False
    pairs: int = 0
    labels: int = 0
    good: float | None = None  # the share of labels that say good
    demonstrations: int = 0
    prompts: int = 0  # distinct, of all feedback
    many: float = 0.0  # the share of records that compare three answers or more
    busy: bool = False
    agreement: Share | None = None
    strong: float | None = None  # the share of pairs with how much better the chosen one is
    longer: Share | None = None  # how often the longer answer is the chosen one
    conflicts: float = 0.0  # the share of rows that contradict an earlier one
    stops: tuple[str, ...] = ()  # why a run would refuse the data
    refused: tuple[str, ...] = ()  # why a training on the road would not begin, as tried
    own: Own | None = None
    ready: bool | None = None
    weights: int | None = None
    context: int | None = None  # tokens
    cores: int = 1
    memory: int | None = None  # bytes that are free
    gpu: str = ""
    fits: bool | None = None  # whether a training of all weights fits the memory
    why: tuple[tuple[str, str], ...] = ()  # (fact, how it is known, or why it is not)

    @property
    def agreed(self) -> Share | None:
        """How often two labelers agree, where enough was judged twice to tell."""
        known = self.agreement is not None and self.agreement.interval.high - self.agreement.interval.low <= WIDEST
        return self.agreement if known else None

    @property
    def wrong(self) -> float | None:
        """The share of wrong verdicts, if labelers err alike and independently: A = (1 - e)^2 + e^2 solved for e. None
        where A is not known, or below a half."""
        if self.agreed is None or self.agreed.value < 0.5:
            return None
        return (1 - sqrt(2 * self.agreed.value - 1)) / 2

    @property
    def feedback(self) -> bool:
        """Whether anybody said of any answer how good it is."""
        return bool(self.pairs or self.labels)

    def told(self, fact: str) -> str:
        """How a fact is known, or why it is not; empty where nothing was noted."""
        return dict(self.why).get(fact, "")

    def as_json(self) -> dict[str, Any]:
        """All of it, for programs."""
        plain = {name: value for name, value in asdict(self).items() if name not in ("agreement", "longer", "why")}
        shares = {
            name: one.as_json() if one else None
            for name, one in (("agreement", self.agreement), ("longer", self.longer))
        }
        return plain | shares | {"wrong": self.wrong, "why": dict(self.why)}
