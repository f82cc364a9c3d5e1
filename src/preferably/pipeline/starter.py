"""Files to begin a job with: a commented starter, and complete recipes, as they come with the package."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from preferably.errors import ConfigError
from preferably.training.disk import write_whole

STARTER, JOB = "starter", "align.yaml"


def recipes() -> dict[str, str]:
    """The recipes by name, each with what it is for."""
    found = {one.name: one for one in _root().iterdir() if one.joinpath(JOB).is_file() and one.name != STARTER}
    return {name: _about(found[name]) for name in sorted(found)}


def write_starter(target: str | Path, recipe: str | None = None) -> list[Path]:
    """Write a starter file, or a recipe, to `target`, and what belongs to it (judges, rules, principles) beside it; the
    paths of all. `ConfigError` for a recipe that there is not, and where one of the files exists: nothing is written
    then."""
    if recipe is not None and recipe not in recipes():
        known = "; ".join(f"{name}: {about}" for name, about in recipes().items())
        raise ConfigError(f"There is no recipe {recipe!r}. There are: {known}.")
    target = Path(target)
    places = {
        target if one.name == JOB else target.with_name(one.name): one.read_bytes()
        for one in sorted(_root().joinpath(recipe or STARTER).iterdir(), key=lambda one: (one.name != JOB, one.name))
        if one.is_file()
    }  # fmt: skip
    if there := [str(place) for place in places if place.exists()]:
        raise ConfigError(f"{', '.join(there)} exists already, and nothing is overwritten; name another place.")
    target.parent.mkdir(parents=True, exist_ok=True)
    for place, content in places.items():
        write_whole(place, content)
    return list(places)


def _root() -> Traversable:
    return files("preferably").joinpath("recipes")


def _about(folder: Traversable) -> str:
    """The first line of the job, without the sign of a comment."""
    return folder.joinpath(JOB).read_text(encoding="utf-8").splitlines()[0].lstrip("# ").rstrip(".")
