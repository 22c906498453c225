"""Speed, as ratios in one run: against a peer or a floor, never against a clock.

`make bench` runs them all and keeps the figures in `.cache/benchmarks.json`; one alone:
`python -m benchmarks relay`.
"""
