"""Writes scipy.json: what SciPy and NumPy make of small paired samples.

    python oracle.py > scipy.json      (SciPy 1.17.1, NumPy 2.x)
"""

import json
import math

import numpy
from scipy import stats

rng = numpy.random.default_rng(7)
SEEDS = 40  # of SciPy's bootstrap, whose mean interval has little noise left


def samples():
    right = (rng.random(200) < 0.6).astype(float) * 100
    flipped = numpy.where(rng.random(200) < 0.08, 100 - right, right)
    f1 = rng.beta(0.6, 0.9, 120) * 100
    yield "six records", numpy.array([3.0, -1, 4, 1, -5, 9])
    yield "ties", numpy.array([1.0, 1, 1, -1, 0, 0, 2, -2, 0, 1])
    yield "all worse", -numpy.arange(1.0, 13)
    yield "sixteen", numpy.round(rng.normal(-2, 5, 16), 2)
    yield "none differs", numpy.zeros(9)
    yield "accuracy", flipped - right
    yield "token F1", numpy.round(numpy.clip(f1 + rng.normal(-3, 12, 120), 0, 100) - f1, 3)
    yield "long", numpy.round(rng.normal(-0.4, 9, 500) * (rng.random(500) < 0.5), 3)


def mean(x, axis):
    return numpy.mean(x, axis=axis)


def permutation(d):
    # SciPy flips all signs where that is cheaper than the rounds asked for.
    exact = numpy.count_nonzero(d) <= 16
    kept = d[d != 0] if exact else d
    if len(kept) == 0:
        return 1.0, True
    test = stats.permutation_test(
        (kept,), lambda x, axis: numpy.sum(x, axis=axis), permutation_type="samples",
        n_resamples=numpy.inf if exact else 200_000, rng=numpy.random.default_rng(1), batch=2000)
    return float(test.pvalue), exact


def interval(d):
    if not d.any():
        return [0.0, 0.0]
    ends = []
    for seed in range(SEEDS):
        ci = stats.bootstrap((d,), mean, method="percentile", n_resamples=10_000,
                             rng=numpy.random.default_rng(seed), batch=1000).confidence_interval
        ends.append([ci.low, ci.high])
    return [float(x) for x in numpy.mean(ends, axis=0)]


out = {"samples": [], "quantiles": [], "unseen": [], "holm": []}
for name, d in samples():
    p, exact = permutation(d)
    out["samples"].append({"name": name, "differences": d.tolist(), "p": p, "exact": bool(exact),
                           "interval": interval(d), "error": float(numpy.std(d) / math.sqrt(len(d)))})
for n in (1, 2, 5, 100, 1001):
    x = numpy.round(rng.normal(0, 1, n), 4)
    out["quantiles"].append({"values": x.tolist(), "low": float(numpy.quantile(x, 0.025)), "high": float(numpy.quantile(x, 0.975))})
for n in (1, 5, 30, 200, 500, 1319):
    out["unseen"].append({"n": n, "share": float(stats.binomtest(0, n).proportion_ci(0.95, "exact").high)})
for p in ([0.01, 0.04, 0.03, 0.005], [0.5], [0.9, 0.0001, 0.9, 0.02, 0.02], []):
    # Holm's steps, from his paper: SciPy has Benjamini and Hochberg's only.
    order = sorted(range(len(p)), key=lambda i: p[i])
    adjusted, so_far = [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        so_far = max(so_far, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = so_far
    out["holm"].append({"p": p, "adjusted": adjusted})
print(json.dumps(out))
