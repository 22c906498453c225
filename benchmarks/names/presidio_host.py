"""Presidio with one spaCy model, out of an environment of its own that knows nothing of noibo.

`python presidio_host.py MODEL`: JSON lines {"text"} in, lines of [start, end, type] out; MODEL is
the name of a package or a folder.
"""

from __future__ import annotations

import json
import sys

from presidio_analyzer import AnalyzerEngine
from presidio_analyzer.nlp_engine import NlpEngineProvider


def main(model: str) -> None:
    """Answer every line."""
    models = [{"lang_code": "en", "model_name": model}]
    provider = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models})
    engine = AnalyzerEngine(nlp_engine=provider.create_engine(), supported_languages=["en"])
    for line in sys.stdin:
        found = engine.analyze(json.loads(line)["text"], language="en")
        print(json.dumps([[one.start, one.end, one.entity_type] for one in found]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
