# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The bit-exact model of the serial back end's LayerNorm and RMSNorm: NumPy, vectorized over rows."""


def layernorm(x, lengths, eps_terms):
    """y [rows, N], Q5.10; x s8 as int64 [rows, N], lengths int [rows], eps_terms int [rows] (scale.eps_term)."""
    raise ValueError("LayerNorm of the serial back end is not built")


def rmsnorm(x, lengths, eps_terms):
    """y [rows, N], Q5.10; arguments as layernorm."""
    raise ValueError("RMSNorm of the serial back end is not built")
