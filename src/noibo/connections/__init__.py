"""The connections of callers: how many, how large their heads, how long they may stand still."""
