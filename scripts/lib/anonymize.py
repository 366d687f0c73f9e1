"""Replaces folders of the machine that built some programs by others of the same
length, so that nothing moves: anonymize.py PROGRAM... -- FOLDER... They stand in error
messages, in the table of source files and in the record of how a program was built."""

import re
import sys

split = sys.argv.index("--")
folders = sorted(set(sys.argv[split + 1 :]), key=len, reverse=True)
for program in sys.argv[1:split]:
    with open(program, "rb") as f:
        content = f.read()
    for folder in folders:
        old = folder.encode()
        new = b"/gramme-build".ljust(len(old), b"_")[: len(old)]
        # A short name may be a part of another path: only where one begins.
        begins = b"" if folder.count("/") > 2 else rb"(?<![\w./])"
        content = re.sub(begins + re.escape(old) + rb"(?![\w.-])", lambda _: new, content)
    with open(program, "wb") as f:
        f.write(content)
