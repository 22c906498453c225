"""Measuring models: so far how fast they answer, under load, and what that costs.

What is said to a server and heard from it is `calling`; who asks how often is `load`; what it comes
to is worked out by pure functions over the answers: `measures`, `statistics`, `cost`.
"""
