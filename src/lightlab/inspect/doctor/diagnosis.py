"""What the doctor says: findings, and all of them together."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

#: Plain values by name.
Figures = dict[str, float | int | str]

#: So many remedies are named at the end of a training; the report has all.
REMEDIES_SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """An illness of a run.

    Attributes:
        illness: what people call it: ``overfitting``, ``dead units``, …
        text: what shows it, in words with the figures.
        figures: those in the text, and what else was measured, as JSON has it.
        remedies: what to try, what helps most first; as keys of the config where there are such.
    """

    illness: str
    text: str
    figures: Figures = field(default_factory=dict)
    remedies: tuple[str, ...] = ()

    def say(self) -> str:
        """Return the illness, what shows it, and what to try first."""
        advice = f" Try {', or '.join(self.remedies[:REMEDIES_SHOWN])}." if self.remedies else ""
        return f"{self.illness}: {self.text}.{advice}"


@dataclass(frozen=True)
class Diagnosis:
    """What was found in a run.

    Attributes:
        findings: causes before what follows from them.
        checked: the illnesses that there was enough to tell of, found or not.
        health: the figures that a healthy run shows; empty where too little is known of it.
    """

    findings: tuple[Finding, ...]
    checked: tuple[str, ...]
    health: str = ""

    @property
    def healthy(self) -> bool:
        """Whether enough is known of the run, and nothing is wrong with it."""
        return bool(self.health) and not self.findings

    def summary(self) -> str:
        """Return the verdict in a line: the first finding whole, of others their names.

        >>> Diagnosis((), ("overfitting",), "val/loss 0.02").summary()
        'healthy: val/loss 0.02'
        >>> Diagnosis((Finding("dead units", "all of head"), Finding("plateaued", "flat")), ()).summary()
        'dead units: all of head. Also plateaued.'
        """
        if not self.findings:
            return f"healthy: {self.health}" if self.health else "too little is known of this run for a verdict"
        first, *others = self.findings
        also = f" Also {', '.join(finding.illness for finding in others)}." if others else ""
        return first.say() + also

    def to_dict(self) -> dict[str, Any]:
        """Return text, numbers, lists and dictionaries only."""
        return {
            "healthy": self.healthy,
            "summary": self.summary(),
            "findings": [{**asdict(finding), "remedies": list(finding.remedies)} for finding in self.findings],
            "checked": list(self.checked),
        }
