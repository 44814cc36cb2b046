# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""What the codes of a section are worth, without the model: sums, errors, sigma, order. See the package."""

import numpy as np

from litenorm.accel import constants as c
from litenorm.accel import model
from litenorm.accel.formats import FORMATS

MAX_ERROR = 1.25            # ulp, softmax: see model.softmax
MAX_SIGMA_ERROR = 2**-10 + 2**-15   # see model.layernorm

# Counts are added up, peaks are maxima; a peak has its place beside it.
COUNTS = ("rows", "elements", "differences", "wrong_sums", "single_element_rows", "masked_errors", "inversions",
          "argmax_changes", "top_lost", "row_errors")
PEAKS = ("error", "sigma_error", "inversion")
FAULTS = ("differences", "wrong_sums", "masked_errors", "row_errors")    # counts that have to be 0


def new_tally():
    return {name: 0 for name in COUNTS} | {name: 0.0 for name in PEAKS} | {f"{name}_at": None for name in PEAKS}


def merge(into, other):
    """Add one tally to another."""
    for name in COUNTS:
        into[name] += other[name]
    for name in PEAKS:
        if other[name] > into[name] or into[f"{name}_at"] is None:
            into[name], into[f"{name}_at"] = other[name], other[f"{name}_at"]


def measure(section, codes, place):
    """(tally, bad rows) of the codes, int64 [rows, N], that left the core for a section; place: where it is, a list.

    bad rows is a dict of row to what is wrong with it, without the comparison with the model.
    """
    tally, bad = new_tally(), {}
    rows, n = codes.shape
    lengths = section.lengths
    valid = np.arange(n) < lengths[:, None]
    fmt = FORMATS[section.fmt] if section.op == "softmax" else None
    out = codes - (fmt.zero_point if fmt else 0)
    tally["rows"], tally["elements"] = rows, rows * n

    def fault(name, wrong, text):
        tally[name] += int(wrong.sum())
        for i in np.flatnonzero(wrong):
            bad.setdefault(int(i), text(i))

    def peak(name, values, row_of=lambda i: i):
        if values.size:
            i = int(np.argmax(values))
            tally[name], tally[f"{name}_at"] = float(values.flat[i]), [*place, int(row_of(i))]

    if section.affine is not None:
        return tally, bad
    masked = ((out != 0) & ~valid).any(axis=1)
    fault("masked_errors", masked, lambda i: "a masked element is not zero")

    # Sums, in integers.
    sums = out.sum(axis=1)
    if fmt:
        single = (lengths == 1) & fmt.capped
        tally["single_element_rows"] = int(single.sum())
        fault("wrong_sums", sums != fmt.total - single, lambda i: f"the sum is {sums[i]}, not {fmt.total - single[i]}")
    elif section.op == "layernorm":
        fault("wrong_sums", sums != 0, lambda i: f"the sum is {sums[i]}, not 0")

    # Error of each element. Numerators are exact in 53 bits.
    x = np.where(valid, section.x, 0)
    if fmt:
        e = model.exp2(section.x, lengths, section.scale)
        total = e.sum(axis=1, keepdims=True)
        error = np.abs((out * total - fmt.total * e) / total)
    else:
        sum_x, sum_xx = x.sum(axis=1), (x * x).sum(axis=1)
        centered = section.op == "layernorm"
        v = lengths * sum_xx - (sum_x * sum_x if centered else 0)
        root = np.sqrt(np.where(v == 0, 1, v + section.eps_terms()))
        numerator = lengths[:, None] * x - (sum_x[:, None] if centered else 0)
        y = np.where(valid & (v != 0)[:, None], (numerator << c.NORM_FRACTION_BITS) / root[:, None], 0)
        if not centered:
            info = np.iinfo(np.int16)
            y = np.clip(y, info.min, info.max)
        error = np.abs(out - y)
        sigma = np.sqrt((out * out).sum(axis=1) / lengths) / (1 << c.NORM_FRACTION_BITS)
        sigma_error = np.abs(sigma - np.sqrt(v) / root)
        peak("sigma_error", sigma_error)
        if centered:
            for i in np.flatnonzero(sigma_error >= MAX_SIGMA_ERROR):
                bad.setdefault(int(i), f"sigma is off by {sigma_error[i]:.3g}")
    peak("error", error, lambda i: i // n)
    if fmt:
        for i in np.flatnonzero(error.max(axis=1) >= MAX_ERROR):
            bad.setdefault(int(i), f"an element is off by {error[i].max():.3f} ulp")

    # Order: sorted by input, and by code within equal inputs, codes must not fall.
    bits = c.CODE_BITS + 2
    key = np.where(valid, (section.x << bits) + out + (1 << (bits - 1)), np.iinfo(np.int64).max)
    key.sort(axis=1)
    ordered = key & ((1 << bits) - 1)
    drop = np.where(valid, np.maximum.accumulate(ordered, axis=1) - ordered, 0)
    tally["inversions"] = int(np.count_nonzero(drop))
    peak("inversion", drop, lambda i: i // n)
    low = np.iinfo(np.int64).min
    codes_valid, x_valid = np.where(valid, out, low), np.where(valid, section.x, low)
    first = np.argmax(codes_valid, axis=1)
    top = x_valid.max(axis=1, keepdims=True)
    tally["argmax_changes"] = int((section.x[np.arange(rows), first] != top[:, 0]).sum())
    best = np.where(x_valid == top, codes_valid, low).max(axis=1)
    tally["top_lost"] = int((best < codes_valid.max(axis=1)).sum())
    return tally, bad
