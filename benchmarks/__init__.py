"""Speed, as ratios in one run: against a peer or a floor, never against a clock.

`make bench` runs them all and writes `.cache/bench.json`; `python -m benchmarks relay` runs one.
"""
