"""Who is asking, and whether they may: judged once for each request, before its body is read."""
