"""Virtual models: names that stand for whichever of several models suits a request, on every API.

    Routed (the request names one) → Chooser.plan → one attempt after the other, each the same
    request with the name of a real model, through the same routes → the first good answer

Nothing of an attempt reaches the caller before its first word, or, of one that is checked, before
the judge has seen it.
"""
