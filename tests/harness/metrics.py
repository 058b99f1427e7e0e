"""A strict reader of Prometheus' text format (version 0.0.4)."""

import re
from dataclasses import dataclass, field

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"'
_SAMPLE = re.compile(rf"^({_NAME})(?:\{{((?:{_LABEL},?)*)\}})? (\S+)(?: (-?\d+))?$")
_TYPES = {"counter", "gauge", "histogram", "summary", "untyped"}
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}


@dataclass
class Family:
    type: str
    help: str = ""
    samples: dict = field(default_factory=dict)  # (name, frozenset of labels) -> value


class Metrics:
    """What one scrape said. Raises AssertionError where the text breaks the format's rules."""

    def __init__(self, text):
        assert text.endswith("\n"), "the last line must end"
        self.families = {}
        helps = {}
        for line in text.splitlines():
            if line.startswith("# HELP "):
                name, _, text_of_help = line[7:].partition(" ")
                assert name not in helps, f"two HELP lines for {name}"
                helps[name] = text_of_help
            elif line.startswith("# TYPE "):
                name, _, kind = line[7:].partition(" ")
                assert kind in _TYPES, line
                assert name not in self.families, f"two TYPE lines for {name}"
                self.families[name] = Family(kind, helps.get(name, ""))
            elif line and not line.startswith("#"):
                self._read_sample(line)
        for name, family in self.families.items():
            self._check(name, family)

    def value(self, name, default=None, **labels):
        """One sample; the default, if one is given, where it is not there (yet)."""
        key = (name, frozenset(labels.items()))
        for family in self.families.values():
            if key in family.samples:
                return family.samples[key]
        assert default is not None, f"no {name} with {labels}"
        return default

    def sum(self, name):
        """Over all label sets of one metric; 0 where there is none yet."""
        return sum(self.by_labels(name).values())

    def by_labels(self, name):
        return {
            labels: value
            for family in self.families.values()
            for (sample, labels), value in family.samples.items()
            if sample == name
        }

    def by_label(self, name, label):
        """label value -> sample value, for metrics with that label alone."""
        return {dict(labels)[label]: value for labels, value in self.by_labels(name).items()}

    def _read_sample(self, line):
        match = _SAMPLE.match(line)
        assert match, f"not a sample line: {line!r}"
        labels = re.findall(_LABEL, match.group(2) or "")
        assert len({name for name, _ in labels}) == len(labels), f"a label twice: {line!r}"
        name = match.group(1)
        family = self._family_of(name)
        assert family is not None, f"no TYPE line before {line!r}"
        key = (name, frozenset(labels))
        assert key not in family.samples, f"the same sample twice: {line!r}"
        family.samples[key] = float(match.group(5))

    def _family_of(self, sample):
        if sample in self.families and self.families[sample].type != "histogram":
            return self.families[sample]
        for kind, suffixes in _SUFFIXES.items():
            for suffix in suffixes:
                family = self.families.get(sample.removesuffix(suffix)) if suffix else None
                if family is not None and sample.endswith(suffix) and family.type == kind:
                    return family
        return None

    @staticmethod
    def _check(name, family):
        assert family.help, f"{name} has no HELP"
        if family.type == "counter":
            assert name.endswith("_total"), f"counter {name} does not end in _total"
            assert all(value >= 0 for value in family.samples.values()), name
        if family.type == "histogram":
            _check_histogram(name, family)


def _check_histogram(name, family):
    series = {}
    for (sample, labels), value in family.samples.items():
        if sample == f"{name}_bucket":
            bound = float(dict(labels)["le"])
            rest = frozenset(pair for pair in labels if pair[0] != "le")
            series.setdefault(rest, {})[bound] = value
    for labels, buckets in series.items():
        counts = [buckets[bound] for bound in sorted(buckets)]
        assert counts == sorted(counts), f"{name}: buckets are not cumulative"
        assert float("inf") in buckets, f"{name}: no +Inf bucket"
        assert buckets[float("inf")] == family.samples[(f"{name}_count", labels)], name
        assert (f"{name}_sum", labels) in family.samples, name
