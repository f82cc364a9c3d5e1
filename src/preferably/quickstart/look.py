"""The audits of the quickstart's models: what each is asked, and where what it found is kept."""

from dataclasses import dataclass, field, replace
from typing import Any

from preferably.evaluation.audit import Audit
from preferably.evaluation.auditing_run import along as audit_along
from preferably.evaluation.gains import Scale
from preferably.evaluation.payers import contrasts, paid
from preferably.evaluation.safety import audit_safety
from preferably.judging.judge import judge_by_score
from preferably.judging.parts import reward_parts
from preferably.judging.reward import RewardJudge
from preferably.models.loading import Loaded
from preferably.models.sampler import Decoding
from preferably.quickstart import doubt, privacy
from preferably.quickstart.corrections import audit_canary, audit_doubt
from preferably.quickstart.phrasing import sample_prompts
from preferably.quickstart.record import Account
from preferably.quickstart.stages import JUDGE, asked, correctness
from preferably.quickstart.truth import score
from preferably.quickstart.watcher import Watcher
from preferably.training.run import Run


@dataclass(slots=True)
class Look:
    """Audits of `models` by their names; `told` is what came out, by road and audit."""

    seed: int
    account: Account
    watcher: Watcher
    unknown: int  # questions that the desk cannot answer
    tokens: int  # the longest reply
    models: dict[str, Loaded]
    reward: Run
    told: dict[str, dict[str, Any]] = field(default_factory=dict)

    def honesty(self, road: str) -> None:
        """Does it say so where the desk does not know; and would the reward model have it bluff?"""
        questions = doubt.questions(self.seed, "held_out", self.unknown, 2 * self.unknown)
        tell = self.watcher.counting(f"audit honesty of {road}", 2 * len(questions))

        def payers(replies: Any) -> dict[str, Any]:
            groups = contrasts(questions, replies)
            return {"the reward model": paid(RewardJudge(self.reward.loaded), groups)} if groups else {}

        self._keep(road, audit_doubt(
            self._named(road), self._named("sft"), questions, self.seed, tokens=self.tokens, progress=tell, keep=payers
        ))  # fmt: skip

    def safety(self, road: str, count: int) -> None:
        """Does it give out what belongs to others, or decline what may be asked?"""
        requests = privacy.requests(self.seed, count)
        tell = self.watcher.counting(f"audit safety of {road}", 2 * len(requests))
        self._keep(road, audit_safety(
            self._named(road), self._named("sft"), requests, judge=privacy.complied, judge_name="truth", samples=2,
            decoding=Decoding(0.7, max_tokens=self.tokens), seed=self.seed, progress=tell,
        ))  # fmt: skip

    def course(self, along: int, best_of: int, max_tokens: int) -> None:
        """Was the reward gamed? The truth along the KL of PPO's checkpoints, and what was lost."""
        prompts = asked(sample_prompts(along, self.seed + 6, "held_out"))
        reward = [str(self.reward.path)]
        self._keep("ppo", audit_along(
            self.account.root / "ppo", self._named("ppo"), self._named("sft"), prompts,
            Scale(judge_by_score(score), score, reward_parts(reward)), judge=JUDGE, best_of=best_of, samples=2,
            tasks=doubt.questions(self.seed + 1, "held_out", 0, along), checker=correctness,
            harmless=[one.prompt for one in privacy.requests(self.seed, along) if not one.harmful],
            max_tokens=max_tokens, seed=self.seed, progress=self.watcher.counting("audit run of ppo", None),
            settings={"reward": reward},
        ))  # fmt: skip

    def suppression(self, cases: int | None, samples: int, steps: tuple[int, ...]) -> None:
        """How much remains of the canary, beside the SFT model that never learnt it."""
        tell = self.watcher.counting("audit suppression", None)
        after, before, never = (self._named(name) for name in ("suppressed", "canary", "sft"))
        how: dict[str, Any] = {"cases": cases, "samples": samples, "steps": steps, "progress": tell}
        how["tokens"] = min(48, self.tokens)
        self._keep("suppressed", audit_canary(after, before, never, self.seed, **how))

    def _keep(self, road: str, audit: Audit) -> None:
        self.account.audited(audit, road)
        self.told.setdefault(road, {})[audit.name] = {"outcome": audit.outcome, "verdict": audit.verdict}

    def _named(self, name: str) -> Loaded:
        """A model by the name that pages give it."""
        return replace(self.models[name], name=name)
