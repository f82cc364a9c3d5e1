"""How reliable each labeler is, and what is probably true, from nothing but what they said of the same things."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

PRIOR = 0.01  # added to every count of a confusion matrix, so that no chance becomes 0 by what was not seen
TOLERANCE = 1e-7  # of the mean log-likelihood of a verdict, at which EM stops


@dataclass(frozen=True, slots=True)
class Reliability:
    """The fit of a model of labelers to their verdicts."""

    posterior: Floats  # [n, q] the chance of each category, unit by unit; the shares where nobody judged it
    confusion: Floats  # [r, q, q] the chance that labeler j says l where k is true
    shares: Floats  # [q] of the categories
    log_likelihood: float  # nats, of all verdicts
    iterations: int
    converged: bool

    @property
    def accuracy(self) -> Floats:
        """[r]: the chance that each labeler says what is true."""
        found: Floats = np.einsum("k,jkk->j", self.shares, self.confusion)
        return found


def dawid_skene(codes: ArrayLike, *, one_coin: bool = False, most: int = 1000) -> Reliability:
    """Confusion matrices of labelers and the truth behind `codes` [n, r] (categories from 0, -1 for none), by EM.

    P(truth of unit i is k) ~ shares_k prod_j confusion[j, k, codes_ij]. With `one_coin`, a labeler has one chance to
    be right, whatever is true, and errs evenly: what few verdicts can still tell. It begins at the shares of votes;
    truth is what the majority of reliable labelers says, so it needs labelers better than chance.
    Raises `ValueError` for a table without verdicts, with one category, or that is no table of whole numbers from -1.
    Source: Dawid and Skene 1979, Applied Statistics 28, 20-28.
    """
    table = np.asarray(codes)
    if table.ndim != 2 or not np.issubdtype(table.dtype, np.integer) or (table.size and table.min() < -1):
        raise ValueError("Expected a table of units by labelers: whole numbers from 0, and -1 for what was not judged.")
    q = int(table.max(initial=-1)) + 1
    if q < 2:
        raise ValueError(f"Reliability needs verdicts of two categories or more; got {q}.")
    said = np.stack([table == k for k in range(q)], 2).astype(np.float64)  # [n, r, q]
    votes = said.sum(1)
    judged = votes.sum(1) > 0
    posterior = np.where(judged[:, None], (votes + 1e-12) / (votes + 1e-12).sum(1, keepdims=True), 1 / q)
    verdicts, before, converged = float(said.sum()), -np.inf, False
    shares, confusion, likelihood, step = posterior.mean(0), np.zeros(0), before, 0
    while step < most and not converged:
        step += 1
        shares = posterior[judged].mean(0)
        confusion = _confusion(posterior, said, one_coin)
        logs = np.log(np.maximum(shares, 1e-300)) + np.einsum("ijl,jkl->ik", said, np.log(confusion))
        top = logs.max(1, keepdims=True)
        total = np.exp(logs - top).sum(1, keepdims=True)
        posterior = np.exp(logs - top) / total
        likelihood = float((top + np.log(total))[judged].sum())
        converged, before = likelihood - before < TOLERANCE * verdicts, likelihood
    return Reliability(posterior, confusion, shares, likelihood, step, converged)


def _confusion(posterior: Floats, said: Floats, one_coin: bool) -> Floats:
    """[r, q, q]: how each labeler speaks, given what is probably true."""
    counts: Floats = np.einsum("ik,ijl->jkl", posterior, said) + PRIOR
    q = counts.shape[1]
    if not one_coin:
        shares: Floats = counts / counts.sum(2, keepdims=True)
        return shares
    right = np.einsum("jkk->j", counts) / counts.sum((1, 2))
    even = ((1 - right) / (q - 1))[:, None, None] * (1 - np.eye(q))
    return np.asarray(even + right[:, None, None] * np.eye(q))
