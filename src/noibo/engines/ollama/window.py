"""How much context an Ollama is told to give a model. Pure.

Ollama cuts a prompt that is longer than its `num_ctx` and answers the rest as if nothing were
missing. So every request says how much it needs, and that nothing is to be cut. A model is loaded
anew for another `num_ctx`: sizes are powers of two, and only grow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from noibo.errors import ContextExceeded

USUAL: Final = 4096
FRAME: Final = 256  # tokens of the template, and round messages
ANSWER: Final = 1024  # tokens, where nobody says how long one may be
IMAGE: Final = 2048  # tokens of a picture, at most, in most models
BYTES: Final = 3  # of a text for a token, nearly always; where not, Ollama refuses it and it grows


@dataclass(slots=True)
class Window:
    """Of one model. `trained`: tokens it was trained for; 0: Ollama does not say. `refuses`:
    whether its Ollama refuses what is too long when it is told to; one that does not is sent only
    what surely fits. `fixed`: what is set for the model."""

    trained: int
    refuses: bool
    size: int = USUAL
    fixed: bool = False

    @classmethod
    def of(cls, trained: int, refuses: bool, loaded: int, wanted: int) -> Window:
        """As large as it is loaded, where it is; `wanted` is what is set for it."""
        most = trained or 2**31
        if wanted:
            return cls(trained, refuses, min(wanted, most), fixed=True)
        return cls(trained, refuses, min(max(loaded, USUAL), most))

    @property
    def most(self) -> int:
        """Tokens it can be at most."""
        return self.size if self.fixed else self.trained or self.size

    def hold(self, text: int, images: int, answer: int | None) -> int:
        """The window for a prompt of so many bytes and pictures and an answer of so many tokens.
        Raises `ContextExceeded`."""
        prompt = self._tokens(text) + images * IMAGE
        if prompt >= self.most and not self.refuses:
            raise ContextExceeded(
                prompt,
                self.most,
                next_step="That many it may be, at most: this Ollama would cut it without a word. "
                "Send less, or update Ollama to 0.12.6 or newer.",
            )
        self._reach(prompt + (ANSWER if answer is None else answer))
        return self.size

    def _tokens(self, text: int) -> int:
        return FRAME + (text // BYTES if self.refuses else text)

    def _reach(self, tokens: int) -> None:
        wanted = 1 << max(tokens - 1, 1).bit_length()
        if not self.fixed and wanted > self.size:
            self.size = min(wanted, self.most)

    def grow(self, at_least: int = 0) -> bool:
        """Make it larger after a refusal, for so many tokens; False where it cannot be."""
        before = self.size
        self._reach(max(2 * self.size, at_least))
        return self.size > before
