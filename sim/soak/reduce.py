# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""A violation, reduced to a small row that still fails."""

from dataclasses import replace

import numpy as np

from litenorm.sim.soak.run import run_sections


def explain(dut, config, sections, weights, seed, stall, violations):
    """Reduce the first bad row: alone, without stalls, shorter, with smaller numbers, as long as it still fails."""
    first = violations[0]
    report = {"count": len(violations), "text": first.text, "lanes": config.lanes, "row": None}

    def failure(section):
        _, found = run_sections(dut, config, [section], weights, seed, {})
        return found[0].text if found else None

    if first.section is not None:
        row = sections[first.section].row(first.row)
        report["row"] = row.describe()
        text = failure(row)
        if text is None:
            report["note"] = "the row is right when it is sent alone: the rows before it or the stalls count"
        else:
            row = reduce_row(row, failure)
            report.update(text=failure(row), row=row.describe())
    else:
        # The stream broke down: the first row that breaks it alone, if there is one.
        for section in sections:
            for i in range(len(section.x)):
                if len(section.x) <= 64 and failure(section.row(i)):
                    row = reduce_row(section.row(i), failure)
                    return {**report, "text": failure(row), "row": row.describe()}
        report["note"] = "no row does this alone: the rows before it or the stalls count"
    return report


def reduce_row(row, failure, trials=600):
    """A smaller row for which `failure(row)` is still not None; one bad row is enough for a first look."""
    left = [trials]

    def fails(candidate):
        if left[0] <= 0:
            return False
        left[0] -= 1
        return failure(candidate) is not None

    def without(section, start, stop):
        keep = np.r_[0:start, stop:section.x.shape[1]]
        n = len(keep)
        affine = section.affine and replace(section.affine, gamma=section.affine.gamma[:n],
                                            beta=section.affine.beta[:n])
        valid = int((keep < section.lengths[0]).sum())
        return replace(section, x=section.x[:, keep], lengths=np.array([valid]), affine=affine) if valid else None

    size = row.x.shape[1] // 2
    while size:
        start = 0
        while start < row.x.shape[1] and row.x.shape[1] > 1:
            candidate = without(row, start, min(start + size, row.x.shape[1]))
            if candidate is not None and candidate.x.shape[1] and fails(candidate):
                row = candidate
            else:
                start += size
        size //= 2
    # Smaller numbers: the whole row nearer to 0, then one element at a time.
    for move in (lambda x: x - x.max(), lambda x: x - x.min(), lambda x: x // 2, lambda x: np.sign(x)):
        candidate = replace(row, x=move(row.x))
        if np.abs(candidate.x).max() < np.abs(row.x).max() and fails(candidate):
            row = candidate
    for j in range(row.x.shape[1]):
        for value in (0, row.x[0, j] // 2):
            if value != row.x[0, j]:
                x = row.x.copy()
                x[0, j] = value
                if fails(replace(row, x=x)):
                    row = replace(row, x=x)
                    break
    return row
