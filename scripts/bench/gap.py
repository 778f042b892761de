"""gap.py ATTEMPTS.CSV: the median gap in ms from one attempt's end to the next one's start; nothing when not told."""

import csv
import re
import statistics
import sys
from datetime import datetime


def moment(text):
    # RFC 3339 in UTC; fromisoformat of older Pythons takes neither `Z` nor more than six digits.
    text = re.sub(r"(\.\d{6})\d+", r"\1", text.replace("Z", "+00:00"))
    return datetime.fromisoformat(text).timestamp()


with open(sys.argv[1], newline="") as file:
    rows = [row for row in csv.DictReader(file) if row.get("started_at") and row.get("ended_at")]
if any("." in row["started_at"] for row in rows):
    spans = sorted((moment(row["started_at"]), moment(row["ended_at"])) for row in rows)
    gaps = [(after[0] - before[1]) * 1000 for before, after in zip(spans, spans[1:])]
    if gaps:
        print(f"{statistics.median(gaps):.1f}")
