"""What the head of a page must not say: it is read by people who know no statistics."""

import re

JARGON = re.compile(
    r"\bnats?\b|LoRA|\[|\bKL\b|AURC|\bECE\b|McNemar|bootstrap|calibration|interval|\bprefill|fitted|\branks?\b|"
    r"log-prob|\btokens?\b|T = ",
)


def told_plainly(findings):
    """What is not good has words for the head of a page without names of statistics; gives the findings back."""
    for one in findings:
        said = one.plain or one.words
        assert one.outcome == "good" or not JARGON.search(said), (one.name, said)
    return findings
