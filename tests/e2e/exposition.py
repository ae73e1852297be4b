# SPDX-License-Identifier: MIT
"""A strict reader of Prometheus' text format 0.0.4. It also refuses what the format allows but
virtgate does not use: timestamps, blank lines, comments and untyped metrics."""

import math
import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
VALUE = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:e[+-][0-9]+)?")
KINDS = ("counter", "gauge", "histogram")
ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


def read_labels(text):
    labels, at = {}, 0
    while at < len(text):
        match = LABEL.match(text, at)
        assert match, f"no label at {at} of {text!r}"
        name, value, comma = match.groups()
        assert name not in labels, text
        assert not comma or match.end() < len(text), f"a comma ends {text!r}"
        labels[name] = re.sub(r"\\.", lambda m: ESCAPES[m[0]], value)
        at = match.end()
    return labels


def belongs(sample, name, kind):
    if kind == "histogram":
        return sample in (f"{name}_bucket", f"{name}_sum", f"{name}_count")
    return sample == name


def check_histogram(name, samples):
    """Buckets do not decrease with their bounds, and the last one, +Inf, equals the count."""
    series = {}
    for sample, labels, value in samples:
        rest = frozenset((k, v) for k, v in labels.items() if k != "le")
        one = series.setdefault(rest, {"buckets": []})
        if sample.endswith("_bucket"):
            one["buckets"].append((math.inf if labels["le"] == "+Inf" else float(labels["le"]), value))
        else:
            assert "le" not in labels
            one[sample.removeprefix(name + "_")] = value
    for of, one in series.items():
        assert one["buckets"] == sorted(one["buckets"]), (of, one)
        bounds, counts = zip(*one["buckets"])
        assert len(set(bounds)) == len(bounds) and bounds[-1] == math.inf, (of, one)
        assert list(counts) == sorted(counts) and counts[-1] == one["count"], (of, one)
        assert one["sum"] >= 0, (of, one)


def read(text):
    """{(sample's name, frozenset of (label, value)): value} of a text; asserts that it is valid."""
    assert text.endswith("\n") and "\r" not in text
    values, kinds, current, samples = {}, {}, None, []
    lines = text[:-1].split("\n")
    at = 0
    while at < len(lines):
        if lines[at].startswith("#"):
            if current and kinds[current] == "histogram":
                check_histogram(current, samples)
            hash, word, name, help = lines[at].split(" ", 3)
            assert (hash, word) == ("#", "HELP") and NAME.fullmatch(name) and help, lines[at]
            assert "\\" not in help, help
            hash, word, same, kind = lines[at + 1].split(" ")
            assert (hash, word, same) == ("#", "TYPE", name) and kind in KINDS, lines[at + 1]
            assert name not in kinds, f"{name} twice"
            assert (kind == "counter") == name.endswith("_total"), name
            kinds[name], current, samples, at = kind, name, [], at + 2
            continue
        match = SAMPLE.fullmatch(lines[at])
        assert match and current and belongs(match[1], current, kinds[current]), lines[at]
        assert VALUE.fullmatch(match[3]), lines[at]
        labels = read_labels(match[2] or "")
        key = (match[1], frozenset(labels.items()))
        assert key not in values, f"{lines[at]} twice"
        values[key] = float(match[3])
        samples.append((match[1], labels, values[key]))
        at += 1
    if current and kinds[current] == "histogram":
        check_histogram(current, samples)
    return values
