# SPDX-License-Identifier: LGPL-2.1-or-later
"""Medians and how sure they are."""

import random
from math import exp, log
from statistics import median

RESAMPLES = 2000


def interval(values, share=0.90):
    """Bootstrap interval of the median: (low, high).  The same for the same
    values."""
    if len(values) < 2:
        return values[0], values[0]
    rnd = random.Random(1)
    medians = sorted(median(rnd.choices(values, k=len(values)))
                     for _ in range(RESAMPLES))
    cut = int((1 - share) / 2 * RESAMPLES)
    return medians[cut], medians[-1 - cut]


class Results:
    """One row a measurement: (round, metric, allocator, wall, cpu, peak)."""

    HEADER = ("round", "metric", "allocator", "wall_s", "cpu_s", "peak_kib")

    def __init__(self):
        self.rows = []

    def add(self, *row):
        self.rows.append(row)

    def metrics(self):
        return list(dict.fromkeys(row[1] for row in self.rows))

    def allocators(self):
        return list(dict.fromkeys(row[2] for row in self.rows))

    def values(self, metric, allocator, column):
        """{round: value}"""
        at = self.HEADER.index(column)
        return {row[0]: row[at] for row in self.rows
                if row[1] == metric and row[2] == allocator}

    def median(self, metric, allocator, column):
        values = self.values(metric, allocator, column)
        return median(values.values()) if values else None

    def ratios(self, metric, allocator, column, to):
        """Of the same round: what slows the machine slows both."""
        mine = self.values(metric, allocator, column)
        theirs = self.values(metric, to, column)
        return [mine[i] / theirs[i] for i in mine if theirs.get(i)]

    def ratio(self, metric, allocator, column, to):
        """(median, low, high), or None."""
        ratios = self.ratios(metric, allocator, column, to)
        return (median(ratios), *interval(ratios)) if ratios else None

    def save(self, path):
        with open(path, "w", encoding="utf-8") as file:
            for row in [self.HEADER, *self.rows]:
                file.write("\t".join(
                    f"{x:.6f}" if isinstance(x, float) else str(x)
                    for x in row) + "\n")

    @classmethod
    def load(cls, path):
        results = cls()
        with open(path, encoding="utf-8") as file:
            next(file)
            for line in file:
                words = line.rstrip("\n").split("\t")
                results.add(int(words[0]), words[1], words[2],
                            float(words[3]), float(words[4]), int(words[5]))
        return results


def geometric_mean(values):
    return exp(sum(map(log, values)) / len(values))


def geometric_ratio(results, metrics, name, column, to):
    """Geometric mean over metrics of the median ratios, and its interval by
    drawing whole rounds; or None.  to: an allocator, or one a metric."""
    to = to if isinstance(to, dict) else dict.fromkeys(metrics, to)
    ratios = [results.ratios(metric, name, column, to[metric])
              for metric in metrics]
    if not ratios or not all(ratios):
        return None
    middle = geometric_mean([median(values) for values in ratios])
    rnd = random.Random(1)
    means = sorted(
        geometric_mean([median(rnd.choices(values, k=len(values)))
                        for values in ratios]) for _ in range(RESAMPLES // 4))
    cut = int(0.05 * len(means))
    return middle, means[cut], means[-1 - cut]
