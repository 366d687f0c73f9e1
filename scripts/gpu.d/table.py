"""How scripts/gpu-check shows what it found.

    table.py RESULT.json

prints the table of a result again, for docs/measured.md.
"""

import json
import sys

OUTCOMES = {True: "yes", False: "**no**", None: ""}


def value(row):
    if "ratio" in row:
        return "%s %s: ours is %.2f ×" % ("{:,.0f}".format(row["value"]), row["unit"], row["ratio"])
    if isinstance(row.get("value"), float):
        return "{:,.0f} {}".format(row["value"], row["unit"])
    return row.get("value", "")


def reason(row):
    """The last line of why, which is the end of an output in a row that failed."""
    lines = row.get("why", "").strip().splitlines()
    return lines[-1].strip() if lines else ""


def line(row):
    said = " ".join(x for x in (OUTCOMES[row["ok"]].strip("*"), value(row), row.get("why", "").strip()) if x)
    return "%-7s %s: %s" % (row["check"], row["case"], said)


def markdown(result):
    out = ["`scripts/gpu-check --device %s` (%s, %s, %s), %d s:" % (result["device"], result["date"], result["gpu"], result["build"], result["seconds"]),
           "", "| check | case | equal | |", "|---|---|---|---|"]
    for row in result["rows"]:
        told = "; ".join(x for x in (value(row), reason(row)) if x).replace("|", "\\|")
        out.append("| %s | %s | %s | %s |" % (row["check"], row["case"], OUTCOMES[row["ok"]], told))
    return "\n".join(out)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as f:
        print(markdown(json.load(f)))
