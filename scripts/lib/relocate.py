"""Replaces the folder that a program looks for its libraries in by one that is not
longer: relocate.py PROGRAM OLD NEW. The string ends in zeros, and so does what is left
of it."""

import sys

program, old, new = sys.argv[1], sys.argv[2].encode(), sys.argv[3].encode()
with open(program, "rb") as f:
    content = f.read()
if len(new) > len(old):
    sys.exit(f"error: {sys.argv[2]} has no room for {sys.argv[3]}")
if content.count(old + b"\0") != 1:
    sys.exit(f"error: {program} does not look for its libraries in {sys.argv[2]} alone")
with open(program, "wb") as f:
    f.write(content.replace(old + b"\0", new + b"\0" * (len(old) - len(new) + 1)))
