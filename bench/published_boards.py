"""Published figures beside what the same published files give here.

    python bench/published_boards.py --alpaca-eval DIR --ifeval DIR --mt-bench DIR    a few minutes on one thread

None of the files is part of this project; each folder is optional, and without any nothing is measured:

- `--alpaca-eval`: a copy of tatsu-lab/alpaca_eval, that is `results/MODEL/ANNOTATOR/annotations.json` and, anywhere in
  it, `ANNOTATOR_leaderboard.csv`. Win rate, standard error and counts are held to 1e-6; the length-controlled win rate,
  which is another estimator, is set beside the published one.
- `--ifeval`: `input_data.jsonl`, `input_response_data_*.jsonl` and the published `eval_results_strict.jsonl` and
  `eval_results_loose.jsonl` of google-research/instruction_following_eval. Every instruction is compared.
- `--mt-bench`: judgments, `*pair*.jsonl` and `*single*.jsonl`; the published rules are computed anew with pandas.
"""

import argparse
import csv
import json
from collections import Counter, defaultdict
from hashlib import sha256
from pathlib import Path
from statistics import fmean, median
from typing import Any

from support.machine import facts, table, write_result

WANTED = 1e-6  # percent: win rates and standard errors must be as near as that
FIGURES = ("win_rate", "standard_error", "discrete_win_rate")
COUNTS = ("n_wins", "n_wins_base", "n_draws", "n_total")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alpaca-eval", type=Path)
    parser.add_argument("--ifeval", type=Path)
    parser.add_argument("--mt-bench", type=Path)
    return parser.parse_args()


def alpaca_eval(folder: Path) -> dict[str, Any]:
    """Every annotation file with a row of its name on the board of its annotator."""
    from preferably.data.annotations import read_annotations
    from preferably.evaluation.boards import entries

    boards = {path.name.removesuffix("_leaderboard.csv"): path for path in folder.rglob("*_leaderboard.csv")}
    compared, without_row, copies = [], [], {}
    controlled: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    rows = Counter()
    whole = {path: sha256(path.read_bytes()).digest() for path in folder.glob("results/*/*/annotations.json")}
    for path in sorted(whole):
        model, annotator = path.parts[-3], path.parts[-2]
        if annotator not in boards:
            without_row.append(f"{model}/{annotator}")
            continue
        published = {row[""]: row for row in csv.DictReader(boards[annotator].open(encoding="utf-8"))}
        twin = next((other for other in whole if other != path and whole[other] == whole[path]), None)
        if twin is not None:  # one file cannot be what two annotators said
            copies[f"{model}/{annotator}"] = f"the same file as {'/'.join(twin.parts[-3:-1])}"
        annotations, account = read_annotations([path])
        rows.update(read=account.read, used=account.used, rejected=len(account.rejects))
        (entry,) = entries(annotations)
        rows.update(missing=entry.missing)
        told = published.get(entry.model) or published.get(model)
        if told is None:
            without_row.append(f"{model}/{annotator}")
            continue
        compared.append(_beside(entry, told, f"{model}/{annotator}"))
        lengths = told.get("length_controlled_winrate")
        if lengths and entry.controlled.win_rate is not None and entry.win_rate is not None:
            controlled[annotator].append((100 * entry.controlled.win_rate, entry.win_rate, float(lengths)))
    return _alpaca_eval_summary(compared, without_row, controlled, dict(rows)) | {"copies": copies}


def _beside(entry: Any, told: dict[str, str], name: str) -> dict[str, Any]:
    """How far each figure is from the published one; those that a board does not have are left out."""
    apart = {key: abs(getattr(entry, key) - float(told[key])) for key in FIGURES if told.get(key)}
    counts = {key: getattr(entry, key) - round(float(told[key])) for key in COUNTS if told.get(key)}
    length = int(entry.avg_length) - int(float(told["avg_length"])) if told.get("avg_length") else None
    same = max(apart["win_rate"], apart["standard_error"]) <= WANTED and not any(counts.values())
    return {"file": name, "same": same, "apart": apart, "counts": counts, "avg_length": length, "n": entry.n_total}


def _alpaca_eval_summary(
    compared: list[dict[str, Any]], without_row: list[str], controlled: dict[str, list[tuple[float, float, float]]],
    rows: dict[str, int],
) -> dict[str, Any]:  # fmt: skip
    from scipy.stats import spearmanr

    same = [one for one in compared if one["same"]]
    most = {key: max(one["apart"].get(key, 0.0) for one in same) for key in FIGURES}
    values: dict[str, Any] = {
        "files": len(compared), "same": len(same), "largest_difference_of_these": most,
        "different": [one for one in compared if not one["same"]], "without_a_published_row": without_row,
        "rows": rows, "avg_length_differs": {one["file"]: one["avg_length"] for one in compared if one["avg_length"]},
    }  # fmt: skip
    values["length_controlled"] = {}
    for annotator, some in controlled.items():
        ours, raw, published = zip(*some, strict=True)
        values["length_controlled"][annotator] = {
            "models": len(some),
            "here": _near(ours, published) | {"spearman": float(spearmanr(ours, published).statistic)},
            "raw_win_rate": _near(raw, published) | {"spearman": float(spearmanr(raw, published).statistic)},
        }
    return values


def _near(some: tuple[float, ...], published: tuple[float, ...]) -> dict[str, float]:
    apart = [abs(one - other) for one, other in zip(some, published, strict=True)]
    return {"mean_difference": fmean(apart), "median_difference": median(apart), "largest": max(apart)}


def ifeval(folder: Path) -> dict[str, Any]:
    """Every instruction of every prompt, against what the published checks said of the same response."""
    from preferably.data.instructed import read_instructed, read_responses
    from preferably.evaluation.following import following

    prompts, _ = read_instructed(folder / "input_data.jsonl")
    (file,) = folder.glob("input_response_data_*.jsonl")
    found = following(prompts, read_responses(file)[0])
    values: dict[str, Any] = {"prompts": len(prompts), "checked": len(found.rows), "not_checked": found.not_checked}
    for how, level in (("strict", found.strict), ("loose", found.loose)):
        lines = (folder / f"eval_results_{how}.jsonl").read_text(encoding="utf-8").split("\n")
        published = {row["prompt"]: row for row in map(json.loads, filter(None, lines))}
        differ: dict[str, list[str]] = defaultdict(list)
        instructions = 0
        for row in found.rows:
            told = published[row.prompt]["follow_instruction_list"]
            for name, mine, theirs in zip(row.instructions, getattr(row, how), told, strict=True):
                instructions += 1
                if mine != theirs:
                    differ[name].append(f"{row.key}: {mine} here, {theirs} there")
        same = [published[row.prompt]["follow_instruction_list"] for row in found.rows]
        values[how] = {
            "instructions": instructions, "agree": instructions - sum(map(len, differ.values())), "differ": differ,
            "prompts_here": level.prompts.value, "prompts_published_of_the_same": fmean(map(all, same)),
            "instructions_here": level.instructions.value,
            "instructions_published_of_the_same": sum(map(sum, same)) / instructions,
            "prompts_published_of_all": fmean(all(row["follow_instruction_list"]) for row in published.values()),
        }  # fmt: skip
    return values


def mt_bench(folder: Path) -> dict[str, Any]:
    """The published rules with pandas: errors dropped, a win where both orders agree, means of scores but -1."""
    import pandas

    from preferably.evaluation.board_files import read_board

    values: dict[str, Any] = {}
    for path in sorted(folder.glob("*.jsonl")):
        if "single" not in path.name and "pair" not in path.name:
            continue
        lines = path.read_text(encoding="utf-8").split("\n")
        rows = pandas.DataFrame(list(map(json.loads, filter(None, lines))))
        board = read_board([path])
        apart, failed = [], 0
        if board.kind == "scores":
            known = rows[rows.score != -1]
            for one in board.scores:
                apart.append(abs(one.score.value - known[known.model == one.model].score.mean()))
                for turn, cell in one.turns.items():
                    theirs = known[(known.model == one.model) & (known.turn == turn)].score.mean()
                    apart.append(abs(cell.value - theirs))
                failed += one.score.failed
        else:
            known = rows[(rows.g1_winner != "error") & (rows.g2_winner != "error")]
            agreed = known.g1_winner.where(known.g1_winner == known.g2_winner, "tie")
            for one in board.records:
                worth = pandas.concat([
                    agreed[known[side] == one.model].map({side: 1.0, "tie": 0.5}).fillna(0.0)
                    for side in ("model_1", "model_2")
                ])  # fmt: skip
                apart.append(abs(one.adjusted.value - worth.mean()))
                failed = max(failed, one.errors)
        values[path.name] = {
            "kind": board.kind, "rows": board.accounting.read, "failed": failed,
            "largest_difference": float(max(apart)),
            "models": {one.model: _value(one) for one in (*board.scores, *board.records)},
        }  # fmt: skip
    return values


def _value(one: Any) -> float:
    return (one.score if hasattr(one, "score") else one.adjusted).value


def main() -> None:
    options = arguments()
    parts = {"alpaca_eval": alpaca_eval, "ifeval": ifeval, "mt_bench": mt_bench}
    values = {name: part(folder) for name, part in parts.items() if (folder := getattr(options, name))}
    if not values:
        print("not measured: no folder of published files is given (--help says which); the result stays as it was")
        return
    if board := values.get("alpaca_eval"):
        print(
            f"AlpacaEval: {board['same']} of {board['files']} files as published, "
            f"the largest differences {board['largest_difference_of_these']}"
        )
        print(table([{"file": one["file"], **one["apart"]} for one in board["different"]]))
        print("copies:", board["copies"])
        print("at equal lengths:", json.dumps(board["length_controlled"], indent=1))
    if checks := values.get("ifeval"):
        for how in ("strict", "loose"):
            told = checks[how]
            print(f"IFEval {how}: {told['agree']} of {told['instructions']} agree; {dict(told['differ'])}")
    for name, told in values.get("mt_bench", {}).items():
        print(f"MT-bench {name}: {told}")
    write_result("published_boards", facts(), {"wanted": WANTED}, values)


if __name__ == "__main__":
    main()
