"""What is wrong with a configuration: the key, where its value came from, and what is allowed."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One wrong key. `origin` is empty when nobody set it; `text` says what is allowed and never quotes a secret."""

    key: str
    origin: str
    text: str

    def __str__(self) -> str:
        """`accounts.paper.mode (orderd.toml, line 7): …`."""
        place = f" ({self.origin})" if self.origin else ""
        return f"{self.key}{place}: {self.text}"


class SettingsError(Exception):
    """The configuration cannot be used. Carries every problem, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keep the problems; the message lists all of them, a line each."""
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
