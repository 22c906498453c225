"""What leaves this machine for an answer: judged, redacted, paid for, written down, and told back.

    Border.clear ──► Crossing.depart ──► Homeward.piece … ──► Crossing.settle
    (label, rule,    (a row at the       (placeholders are     (the door, the budget and
     budget)          door, each time)    values again)         the ledger of usage)

A request to a model of this machine never comes here.
"""
