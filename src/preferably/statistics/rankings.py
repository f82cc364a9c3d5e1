"""Several models from comparisons of two: strengths, which of them can be told apart, and which cannot."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from preferably.statistics.intervals import Interval
from preferably.statistics.multiple import holm

Floats = NDArray[np.float64]

NEVER = -1e9  # the log-odds of a tie where there are none
FEWEST = 30  # prompts below which nobody is told apart: of two equal models resampling would tell them too often
RIDGE = 0.01  # of squared strengths: a model that won every game has no largest likelihood, and gets a finite one


@dataclass(frozen=True, slots=True)
class Game:
    """A comparison on a prompt: `result` is 1 where `first` won, 0 where `second` did, 0.5 for a tie."""

    first: str
    second: str
    result: float
    prompt: object


@dataclass(frozen=True, slots=True)
class Standing:
    """A model's strength, in nats of log-odds, the mean of all models 0."""

    name: str
    strength: float
    interval: Interval
    games: int


@dataclass(frozen=True, slots=True)
class Board:
    """Models, the strongest first; and the pairs of which one is told to be better."""

    standings: list[Standing]
    tie_weight: float  # nu of Davidson's model: how often equals tie, 0 never
    separable: list[tuple[str, str]]  # (better, worse), with all pairs held together at the confidence
    confidence: float
    prompts: int = FEWEST

    @property
    def doubt(self) -> str:
        """Why no models are told apart, where there are too few prompts to; empty where there are enough."""
        return f"{self.prompts} prompts are too few to tell models apart; it takes {FEWEST}" * (self.prompts < FEWEST)

    @property
    def groups(self) -> list[list[str]]:
        """The models in order, a new group wherever one is told from everyone of the group before it."""
        known = set(self.separable)
        found: list[list[str]] = []
        for one in self.standings:
            if found and not all((other, one.name) in known for other in found[-1]):
                found[-1].append(one.name)
            else:
                found.append([one.name])
        return found


def ranked(games: Sequence[Game], *, confidence: float = 0.95, resamples: int = 300, seed: int = 0) -> Board:
    """Strengths by Bradley and Terry's model with Davidson's ties; intervals by resampling prompts.

    P(i beats j) = p_i / (p_i + p_j + nu sqrt(p_i p_j)), P(tie) = nu sqrt(p_i p_j) / (the same), p = exp(strength).
    Pairs are told apart where the difference of strengths, resampled, does not take the other sign, by Holm's procedure
    over all pairs, and none from fewer than `FEWEST` prompts. Raises `ValueError` for no games, a result other than 0,
    0.5 and 1, a model against itself, and models that no chain of games connects, which have no common scale.
    Sources: Davidson 1970, JASA 65, 317-328; Holm 1979, Scandinavian Journal of Statistics 6, 65-70.
    """
    names = list(dict.fromkeys(name for game in games for name in (game.first, game.second)))
    if not games:
        raise ValueError("There are no games to rank models by.")
    for game in games:
        if game.result not in (0, 0.5, 1) or game.first == game.second:
            raise ValueError(f"Expected a result of 0, 0.5 or 1 between two models; got {game}.")
    if len(apart := islands(games)) > 1:
        parts = "; ".join(", ".join(part) for part in apart)
        raise ValueError(f"No game connects these models, so they have no common scale: {parts}.")
    places = {name: at for at, name in enumerate(names)}
    by_prompt: dict[object, Floats] = {}  # [m, m, 3] a prompt: won, tied, lost by the first of two
    for game in games:
        table = by_prompt.setdefault(game.prompt, np.zeros((len(names), len(names), 3)))
        table[places[game.first], places[game.second], round(2 - 2 * game.result)] += 1
    tables = np.stack(list(by_prompt.values()))
    strengths, weight = _fit(tables.sum(0))
    generator = np.random.default_rng(seed)
    pairs = len(names) * (len(names) - 1) // 2
    resamples = max(resamples, math.ceil(4 * pairs / (1 - confidence)))  # or no p-value could be as small as Holm asks
    chances = np.full(len(tables), 1 / len(tables))
    drawn = np.stack([
        _fit(np.tensordot(generator.multinomial(len(tables), chances), tables, 1) + _unseen(tables, generator),
             strengths, weight)[0]
        for _ in range(resamples)
    ])  # fmt: skip
    ends = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    played = tables.sum((0, 2, 3)) + tables.sum((0, 1, 3))
    order = np.argsort(-strengths, kind="stable")
    standings = [
        Standing(
            names[at], float(strengths[at]),
            Interval(float(ends[0, at]), float(ends[1, at]), confidence, "bootstrap"), int(played[at]),
        )
        for at in order
    ]  # fmt: skip
    enough = len(tables) >= FEWEST
    told = [(names[one], names[other]) for one, other in _separable(drawn, order, confidence) if enough]
    return Board(standings, weight, told, confidence, len(tables))


def _unseen(tables: Floats, generator: np.random.Generator) -> Floats:
    """One more prompt [m, m, 3], on which each pair that met is decided by a coin: what was not seen yet, without which
    a model that won every game would seem to be known exactly."""
    counts = tables.sum((0, 3))
    first, second = np.nonzero(np.triu(counts + counts.T))
    made = np.zeros(tables.shape[1:])
    made[first, second, 2 * generator.integers(2, size=len(first))] = 1
    return made


def islands(games: Sequence[Game]) -> list[list[str]]:
    """Models in sets that no game connects; one set where all have a common scale."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = name = parent[parent[name]]
        return name

    for game in games:
        parent[root(game.first)] = root(game.second)
    found: dict[str, list[str]] = {}
    for name in parent:
        found.setdefault(root(name), []).append(name)
    return list(found.values())


def _fit(table: Floats, begin: Floats | None = None, weight: float = 0.5) -> tuple[Floats, float]:
    """Strengths [m] with mean 0 and the tie weight, by the largest penalised likelihood. `table` [m, m, 3] counts."""
    first, second = np.nonzero(table.sum(2))
    counts = table[first, second]  # [e, 3]
    ties, m = bool(counts[:, 1].sum()), len(table)

    def loss(theta: Floats) -> tuple[float, Floats]:
        a, b = theta[first], theta[second]
        logits = np.stack([a, (a + b) / 2 + theta[m] if ties else np.full_like(a, NEVER), b], 1)
        total = logsumexp(logits, axis=1, keepdims=True)
        shares = np.exp(logits - total) * counts.sum(1, keepdims=True)
        said = np.where(counts > 0, counts * (logits - total), 0.0).sum()
        away = shares - counts  # d loss / d logits
        slope = np.zeros(m + 1)
        np.add.at(slope, first, away[:, 0] + away[:, 1] / 2)
        np.add.at(slope, second, away[:, 2] + away[:, 1] / 2)
        slope[m] = away[:, 1].sum() if ties else 0.0
        slope[:m] += 2 * RIDGE * theta[:m]
        return float(RIDGE * (theta[:m] ** 2).sum() - said), slope

    start = np.append(np.zeros(m) if begin is None else begin, np.log(max(weight, 1e-3)) if ties else 0.0)
    found = minimize(loss, start, jac=True, method="L-BFGS-B").x
    strengths = found[:m] - found[:m].mean()
    return strengths, float(np.exp(found[m])) if ties else 0.0


def _separable(drawn: Floats, order: NDArray[np.int64], confidence: float) -> list[tuple[int, int]]:
    """Pairs (better, worse) told apart, by Holm's procedure on two-sided bootstrap p-values (with 1 added to each)."""
    pairs = list(combinations(order.tolist(), 2))
    wrong = np.array([(drawn[:, one] <= drawn[:, other]).sum() for one, other in pairs])
    p = np.minimum(1.0, 2 * (wrong + 1) / (len(drawn) + 1))
    told = {pairs[at] for at, apart in enumerate(holm(p.tolist(), confidence)) if apart}
    return [pair for pair in pairs if pair in told]
