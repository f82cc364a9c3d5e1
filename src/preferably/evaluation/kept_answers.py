"""Answers that were sampled, kept before they are judged: where the judge then fails, none is drawn again."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from preferably.data.tokens import encode_prompts
from preferably.errors import DataError, PreferablyError
from preferably.feedback.records import Group
from preferably.models.loading import Loaded
from preferably.models.policy import Policy, weights_digest
from preferably.models.sampler import Decoding, Sample
from preferably.training.run_directory import RunDirectory

FOLDER = "evaluation/answers"
Texts = list[list[str]]  # per prompt, its samples
Note = Callable[[str], None]
Draw = Callable[..., Sequence[Sequence[Sample]]]


def silent(text: str) -> None:
    """Tells nobody."""


def texts(drawn: Sequence[Sequence[Sample]]) -> Texts:
    """The texts of samples, without the white space at their ends."""
    return [[one.text.strip() for one in several] for several in drawn]


class KeptAnswers:
    """Answers in a run directory, each set in a file that is called by the digest of all that it came from: another
    model, prompt, decoding or seed is another file, so what is found is what would be drawn.

    Without a directory nothing is kept. `note` is told where answers were there already.
    """

    def __init__(self, directory: str | Path | None, note: Note = silent) -> None:
        self.run = None if directory is None else RunDirectory(Path(directory))
        self.note = note
        self.digests: WeakKeyDictionary[Policy, str] = WeakKeyDictionary()  # several sets are drawn from one
        self.holds = False  # whether any set was kept or found

    def texts(
        self, draw: Draw, loaded: Loaded, prompts: Sequence[Group], decoding: Decoding, *, samples: int = 1,
        seed: int = 0, progress: Callable[[int], None] | None = None, facts: Mapping[str, Any] | None = None,
    ) -> Texts:  # fmt: skip
        """The texts that `draw(loaded, prompts, decoding, ...)` samples, without the white space at their ends, or
        those that were kept of it. `facts` are what else decides them. Raises what `draw` does, and `DataError` for
        a file that is not what was kept."""
        how: dict[str, Any] = {"samples": samples, "seed": seed}
        if self.run is None:
            return texts(draw(loaded, prompts, decoding, progress=progress, **how))
        told = {"model": loaded.name, "decoding": asdict(decoding), **how}
        name = f"{FOLDER}/{self._digest(loaded, prompts, told | {'facts': facts or {}})}.json"
        self.holds = True
        if (self.run.path / name).exists():
            if progress is not None:
                progress(len(prompts))
            self.note(f"the answers of {loaded.name} were there already ({self.run.path / name})")
            return _read(self.run.path / name, len(prompts), samples)
        found = texts(draw(loaded, prompts, decoding, progress=progress, **how))
        rows = [{"prompt": one.prompt_text, "texts": texts} for one, texts in zip(prompts, found, strict=True)]
        self.run.make()
        self.run.write_json(name, told | {"answers": rows})
        return found

    @contextmanager
    def judging(self) -> Iterator[None]:
        """Says of an error within that the answers are not lost."""
        try:
            yield
        except PreferablyError as error:
            if self.run is None or not self.holds:
                raise
            kept = f"The answers are kept in {self.run.path / FOLDER}: the same command goes on with them."
            raise type(error)(f"{error} {kept}") from error

    def _digest(self, loaded: Loaded, prompts: Sequence[Group], told: Mapping[str, Any]) -> str:
        """Of the weights, what is read and written by the tokenizer, where answers end, and how they are drawn."""
        if loaded.policy not in self.digests:
            vocabulary = json.dumps(sorted(loaded.tokenizer.get_vocab().items()))
            self.digests[loaded.policy] = weights_digest(loaded.policy) + vocabulary
        ends = [sorted(loaded.stop_ids), loaded.context, str(loaded.policy.compute)]
        rest = {key: value for key, value in told.items() if key != "model"}  # the same weights by another name
        whole = sha256(json.dumps([self.digests[loaded.policy], ends, rest], sort_keys=True).encode())
        for ids in encode_prompts(prompts, loaded.tokenizer, max_length=10**9):
            whole.update(np.asarray(ids, dtype=np.int64).tobytes() + b"|")
        return whole.hexdigest()[:16]


def _read(file: Path, prompts: int, samples: int) -> Texts:
    """What was kept; `DataError` where it is not so many texts."""
    try:
        found = [row["texts"] for row in json.loads(file.read_text(encoding="utf-8"))["answers"]]
        whole = all(len(row) == samples and all(isinstance(text, str) for text in row) for row in found)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{file} cannot be read as answers ({error}); remove it, and they are drawn anew.") from error
    if len(found) != prompts or not whole:
        raise DataError(f"{file} does not hold {samples} answers to each of {prompts} prompts; remove it.")
    return found
