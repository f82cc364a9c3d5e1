"""What `preferably quickstart --full` adds: people who answer the same questions, judges held against them, two
trainings whose aim is known, and the audits of all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from preferably.data.check import check_files
from preferably.evaluation import judges
from preferably.evaluation.compare import answers, measure_kl
from preferably.evaluation.findings import findings, verdict
from preferably.evaluation.kept_answers import texts
from preferably.feedback.records import Group
from preferably.feedback.store.store import Store
from preferably.judging.judge import Judge, judge_by_score
from preferably.judging.reward import RewardJudge
from preferably.models.loading import Loaded
from preferably.models.sampler import Decoding
from preferably.pipeline.labelers import labelers_behind
from preferably.quickstart import canary, corrections, doubt, measures
from preferably.quickstart.crowd import ask_crowd, preferred
from preferably.quickstart.look import Look
from preferably.quickstart.phrasing import sample_prompts
from preferably.quickstart.recipe import Recipe
from preferably.quickstart.record import Account
from preferably.quickstart.stages import asked, two_by_two
from preferably.quickstart.watcher import Watcher
from preferably.training.run import Run
from preferably.training.run_directory import RunDirectory

PEOPLE = "people.db"  # in the output: what the crowd said


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of everything that `--full` adds."""

    pairs: int = 600  # that the crowd is asked about
    overlap: int = 3  # of the crowd, to each
    judged: int = 200  # pairs that a judge is tried on
    attacked: int = 60
    unknown: int = 100  # questions that the desk cannot answer, and twice as many that it can
    private: int = 60  # requests for others' data, and as many look-alikes
    along: int = 150  # prompts for each checkpoint of PPO
    best_of: int = 16
    canary: int | None = None  # prompts about the canary that are trained on, and that are asked: all
    samples: int = 4  # of each
    relearning: tuple[int, ...] = (1, 5, 10, 50)  # steps
    tokens: int = 64  # the longest reply in an audit
    prompts: int = 250  # on which the corrected models are held against those that they began from


@dataclass(slots=True)
class Full:
    """One job's people, judges and audits. `models` are those in memory: sft, dpo, ppo."""

    recipe: Recipe
    seed: int
    account: Account
    watcher: Watcher
    extent: Extent
    models: dict[str, Loaded]
    reward: Run
    base: Callable[[], Loaded]

    @property
    def root(self) -> Path:
        """The folder of the job."""
        return self.account.root

    def all(self, store: str) -> dict[str, Any]:
        """Do it, and return what `results.json` holds as `full`; `store` is where the labelers' verdicts are."""
        self._check("check", self.root / store)
        known, liked = self._people()
        told = {"people": known, "judges": [self._judge(*one, liked) for one in self._judges()]}
        roads = {"honest": "sft", "suppressed": "canary"}
        counts = self._honest()
        self._suppressed()
        for road, start in roads.items():
            self._measure(road, start)
        few = self.extent
        look = Look(self.seed, self.account, self.watcher, few.unknown, few.tokens, self.models, self.reward)
        for road in ("dpo", "ppo", "honest"):
            look.honesty(road)
        for road in ("dpo", "ppo"):
            look.safety(road, self.extent.private)
        look.course(self.extent.along, self.extent.best_of, self.recipe.max_tokens)
        look.suppression(self.extent.canary, self.extent.samples, self.extent.relearning)
        return told | {"roads": roads, "pairs": counts, "audits": look.told}

    def _check(self, name: str, store: Path) -> dict[str, Any]:
        """What the gates of a job look at, of a store."""
        run = RunDirectory(self.root / name)
        run.make()
        found = check_files([store], feedback="rankings").as_json()
        run.write_json("findings.json", {"findings": {"rankings": found}})
        people = labelers_behind([str(store)], seed=self.seed)
        run.write_json("labelers.json", people)
        self.account.done(name, "check", figures={"rankings": {"verdict": found["verdict"], "groups": found["groups"]}})
        return people

    def _people(self) -> tuple[dict[str, Any], list[Group]]:
        """The crowd is asked about pairs of the SFT model's samples on held-out prompts. What is told of each of them
        and what is true; and the pairs that most prefer, the preferred reply first."""
        some = sample_prompts(self.extent.pairs, self.seed + 4, "held_out")
        tell = self.watcher.counting("people", len(some))
        decoding = Decoding(self.recipe.pair_temperature, max_tokens=self.recipe.max_tokens)
        drawn = texts(answers(self.models["sft"], asked(some), decoding, samples=2, seed=self.seed + 4, progress=tell))
        pairs = [
            (prompt, a, b) for prompt, each in zip(some, drawn, strict=True) for a, b in two_by_two(each)
            if a and b and a != b
        ]  # fmt: skip
        with Store(self.root / PEOPLE) as store:
            known = ask_crowd(store, pairs, self.extent.overlap, self.seed)
            liked = preferred(store)
        people = self._check("people", self.root / PEOPLE)["labelers"]
        told = {
            name: one.as_json() | {"told": people["labelers"][name]["reliability"],
                                   "findings": people["labelers"][name]["findings"]}
            for name, one in known.items()
        }  # fmt: skip
        agreement = people["agreement"]["raw agreement"]
        figures = {"simulated": told, "agreement": agreement, "pairs": len(pairs), "decided": len(liked),
                   "overlap": self.extent.overlap}  # fmt: skip
        self.account.stages[-1]["figures"] |= figures
        return figures, liked

    def _judges(self) -> list[tuple[str, str, Judge]]:
        return [
            ("reward", "the reward model", RewardJudge(self.reward.loaded)),
            ("shorter", "a rule: fewer words are better", judge_by_score(fewer_words)),
        ]

    def _judge(self, name: str, words: str, judge: Judge, liked: Sequence[Group]) -> dict[str, Any]:
        """Hold a judge against what the crowd prefers."""
        tell = self.watcher.counting(f"judge: {name}", 2 * min(self.extent.judged, len(liked)))
        found = judges.audit(
            judge, liked, name=words, limit=self.extent.judged, attacked=self.extent.attacked, seed=self.seed,
            progress=tell,
        )  # fmt: skip
        outcome, sentence = verdict(found)
        seen = [one.as_json() for one in findings(found)]
        run = RunDirectory(self.root / "judges")
        run.make()
        run.write_json(f"{name}.json", found.as_json() | {"outcome": outcome, "verdict": sentence, "findings": seen})
        figures = {"judge": words, "outcome": outcome, "verdict": sentence, "findings": seen}
        self.account.done(f"judge-{name}", "judge-audit", folder="judges", needs=["people"], figures=figures)
        return figures

    def _honest(self) -> dict[str, int]:
        """DPO on pairs that reward doubt where it is due; how many of each reason."""
        start, size = self.models["sft"], self.extent.unknown
        tell = self.watcher.counting("doubtful pairs", 3 * size)
        pairs, counts = doubt.doubtful_pairs(start, self.seed, size, tell)
        self.account.done("honest-pairs", "sample", folder="sft", needs=["sft"], figures=dict(counts))
        run = corrections.corrected(start, pairs, self.seed, self.root / "honest", self.watcher.training("honest"))
        self._trained(run, ["honest-pairs"])
        return dict(counts)

    def _suppressed(self) -> None:
        """The canary is taught with the demonstrations, and then DPO prefers "not sure" to it."""
        taught = corrections.shown(
            self.recipe, self.seed, self.base(), self.root / "canary", canary.shown(self.extent.canary),
            self.watcher.training("canary"),
        )  # fmt: skip
        self.models["canary"] = taught.loaded
        self.account.trained(taught, kind="sft", method="sft", needs=["base"])
        run = corrections.corrected(
            replace(taught.loaded, name=str(taught.path)), 
            canary.negative(self.seed, self.extent.canary), self.seed,
            self.root / "suppressed",
            self.watcher.training("suppressed"),
        )  # fmt: skip
        self._trained(run, ["canary"])

    def _trained(self, run: Run, needs: Sequence[str]) -> None:
        name = run.path.name
        self.models[name] = run.loaded
        self.account.trained(run, road=name, method="dpo", needs=needs)

    def _measure(self, road: str, start: str) -> None:
        """What a correction did to the rest: the truth's win rate on the desk's usual prompts."""
        some = sample_prompts(self.extent.prompts, self.seed + 5, "held_out")
        sides = {name: self.models[name] for name in (road, start)}
        tell = self.watcher.counting(f"evaluate {road}", 2 * len(some))
        drawn = measures.replies(
            self.recipe, self.seed, sides, some, temperature=self.recipe.temperature, samples=self.recipe.samples,
            progress=tell,
        )  # fmt: skip
        how: dict[str, Any] = {"max_tokens": self.recipe.max_tokens, "samples": 1, "seed": self.seed}
        kl = measure_kl(self.models[road], self.models[start], asked(some), **how)
        stored = measures.hold_against(
            self.recipe, self.seed, drawn, some, road, start, self.root / road,
            temperature=self.recipe.temperature, name="win_rate", kl=kl,
        )  # fmt: skip
        self.account.evaluated(road, stored, start)


def fewer_words(prompts: list[str], completions: list[str]) -> list[float | None]:
    """A rule that looks at nothing but the length."""
    return [-float(len(text.split())) for text in completions]
