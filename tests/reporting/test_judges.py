"""Judges and simulated people on the page of a job."""

from preferably.reporting.judges import crowds, judge_in_words, judges


def stage(kind, figures, state="done"):
    return {"name": "one", "kind": kind, "state": state, "figures": figures}


def test_a_judge_that_was_held_against_people():
    finding = {"name": "agreement", "outcome": "good", "words": "80% agreement"}
    figures = {"judge": "length", "outcome": "bad", "verdict": "Do not use it.", "findings": [finding]}
    stages = [stage("judge-audit", figures), stage("judge-audit", figures, "new"), stage("judge", figures)]
    [found] = judges(stages)
    assert (found.name, found.outcome, found.verdict) == ("length", "bad", "Do not use it.")
    assert found.findings == (("agreement", "good", "80% agreement"),)


def test_what_is_told_of_somebody_is_held_against_what_is_true():
    def person(right, told):
        return {"fault": "none", "right": right, "told": told, "findings": ["is quick"]}

    told = {"value": 0.8, "interval": [0.7, 0.9], "n": 40}
    people = {"ada": person(0.75, told), "ben": person(0.65, told), "eli": person(0.5, None)}
    [found] = crowds(
        [stage("check", {"simulated": people, "agreement": {"value": 0.61}, "overlap": 3}), stage("x", {})]
    )
    ada, ben, eli = found.people
    assert (found.agree, found.overlap) == ("61%", "3")
    assert (ada.right, ada.told, ada.interval, ada.held) == ("75%", "80%", "70% to 90%", "holds it")
    assert ben.held == "misses it"
    assert (eli.told, eli.interval, eli.held) == ("–", "", "")


def test_a_judge_is_named_for_whoever_reads_no_code():
    assert judge_in_words("people:team.db") == judge_in_words("people") == "people"
    assert judge_in_words("rules/desk.py:score") == "a function of yours (desk.py:score)"
    assert judge_in_words("runs/rm") == "runs/rm"
