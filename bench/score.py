# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""What is measured of one peer on many rows, added up chunk by chunk."""

import numpy as np


class SoftmaxScore:
    """Sums, errors and order of a softmax whose value is code / total."""

    def __init__(self, total):
        self.total = total
        self.rows = self.elements = self.undefined = 0
        self.wrong_sums = self.argmax_flips = self.argmax_ties = self.inversions = self.max_inversion = 0
        self.max_sum = self.sum_sum = self.signed_sum = self.max_error = self.sum_error = 0.0

    def add(self, x, codes, exact):
        """x int [rows, N] logits; codes int64 [rows, N], -1 in undefined rows; exact float64 [rows, N]."""
        defined = (codes >= 0).all(axis=1)
        self.undefined += int((~defined).sum())
        if not defined.all():
            x, codes, exact = x[defined], codes[defined], exact[defined]
        if not len(codes):
            return
        self.rows += len(codes)
        self.elements += codes.size
        off = codes.sum(axis=1) - self.total        # in integers: 0 is exact
        self.wrong_sums += int((off != 0).sum())
        self.max_sum = max(self.max_sum, float(np.abs(off).max()) / self.total)
        self.sum_sum += float(np.abs(off).sum()) / self.total
        self.signed_sum += float(off.sum()) / self.total
        error = np.abs(codes / self.total - exact)
        self.max_error = max(self.max_error, float(error.max()))
        self.sum_error += float(error.sum())
        self._add_order(x, codes)

    def _add_order(self, x, codes):
        order = np.argsort(x, axis=1, kind="stable")
        x, codes = np.take_along_axis(x, order, 1), np.take_along_axis(codes, order, 1)
        # before[:, i]: how many logits of the row are smaller than the i-th.
        new = np.diff(x, axis=1, prepend=x[:, :1] - 1) > 0
        before = np.maximum.accumulate(np.where(new, np.arange(x.shape[1]), 0), axis=1)
        largest = np.maximum.accumulate(codes, axis=1)
        below = np.where(before > 0, np.take_along_axis(largest, np.maximum(before - 1, 0), 1), -1)
        inverted = below - codes
        self.inversions += int((inverted > 0).sum())
        self.max_inversion = max(self.max_inversion, int(inverted.max()))
        best = np.where(x == x[:, -1:], codes, -1).max(axis=1)
        self.argmax_flips += int((below[:, -1] > best).sum())
        self.argmax_ties += int((below[:, -1] == best).sum())

    def result(self):
        """The measurements; None where no row was defined."""
        nothing = self.rows == 0

        def mean(value, count):
            return None if nothing else value / count

        return {
            "rows": self.rows + self.undefined,
            "undefined_rows": self.undefined,
            "wrong_sums": self.wrong_sums,
            "max_sum_error": None if nothing else self.max_sum,
            "mean_sum_error": mean(self.sum_sum, self.rows),
            "mean_signed_sum_error": mean(self.signed_sum, self.rows),
            "max_error": None if nothing else self.max_error,
            "mean_error": mean(self.sum_error, self.elements),
            "max_error_ulp": None if nothing else self.max_error * self.total,
            "argmax_flips": self.argmax_flips,
            "argmax_ties": self.argmax_ties,
            "order_inversions": self.inversions,
            "order_inversion_share": mean(self.inversions, self.elements),
            "max_inversion_ulp": self.max_inversion,
        }


class LayerNormScore:
    """Mean, standard deviation and error of a LayerNorm."""

    def __init__(self):
        self.rows = 0
        self.max_sigma = self.max_mean = self.max_error = 0.0

    def add(self, y, exact):
        """y, exact float64 [rows, N]."""
        if not len(y):
            return
        self.rows += len(y)
        mean = y.mean(axis=1, keepdims=True)
        sigma = np.sqrt(((y - mean) ** 2).mean(axis=1))
        self.max_sigma = max(self.max_sigma, float(np.abs(sigma - 1).max()))
        self.max_mean = max(self.max_mean, float(np.abs(mean).max()))
        self.max_error = max(self.max_error, float(np.abs(y - exact).max()))

    def result(self):
        """The measurements; None where there was no row."""
        values = {"max_sigma_error": self.max_sigma, "max_mean": self.max_mean, "max_error": self.max_error}
        return {"rows": self.rows, **{key: value if self.rows else None for key, value in values.items()}}
