"""Which model answers: `p_local`, candidates, strategies, plans, and whether an answer is good.

    from noibo.routing import ComplexityClassifier, HybridLLM

    HybridLLM(LLM_CONFIG).generate("Thủ đô của Việt Nam là gì?", context)

Pure functions over values, but for `HybridLLM`, which asks the two models itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from noibo.routing.complexity import ComplexityClassifier
    from noibo.routing.hybrid import HybridLLM

__all__ = ["ComplexityClassifier", "HybridLLM"]

_WHERE = {"ComplexityClassifier": "complexity", "HybridLLM": "hybrid"}


def __getattr__(name: str) -> Any:
    # The gateway imports this package for plans alone: no weights, and no HTTP client, with it.
    if name in _WHERE:
        from importlib import import_module

        return getattr(import_module(f"noibo.routing.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'noibo.routing' has no attribute {name!r}")
