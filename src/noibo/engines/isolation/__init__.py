"""What a worker process is kept from: other files, other hosts, other memory.

A model file is untrusted input to a large C++ program. Each worker therefore closes itself off
before it opens one, in layers that do not rely on each other: `landlock` (files, TCP), `seccomp`
(system calls), `limits` (memory, open files, privileges). `room` puts them together.
"""
