# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Soak test: the core's generated Verilog against the model, over as many random and adversarial rows as wanted.

    python -m litenorm.sim.soak --elements 1e8 --seed 1

The work is cut into chunks of `CHUNK_ELEMENTS`, each drawn from (seed, chunk) alone: chunk k goes through the core with
`LANES[k mod 5]` lanes. Every element is compared with `accel.model`; everything else is computed from the codes that
left the core, without the model's output:

    sums        sum(code - zero point) against T (LayerNorm: 0), in integers
    error       softmax: code - zero point against T * e_i / S, e_i and S the integers of `model.exp2`, numerator exact;
                norms: y against (n x_i - sum x) * 2^10 / sqrt(V + eps term), numerator exact, division in float64
    sigma       sqrt(mean(y^2)) against sqrt(V / (V + eps term)), which is 1 for eps = 0
    inversions  elements whose code is below that of a smaller input of the same row, and by how much
    argmax      rows in which the first largest code does not belong to a largest input
    top lost    rows in which no largest input has the largest code
    masked      elements behind the valid length that are not the zero point (norms: 0)

It ends with exit code 1 on a difference from the model, a wrong sum, an error or a sigma out of bounds, a masked
element that is not zero, a row_error pulse, or a broken handshake; the row is then reduced to a small one that still
fails.

Modules: `section` is a few rows of one kind, `families` and `draw` make them, `run` sends them through the core and
`measure` says what came out; `chunks` and `campaign` do that as often as wanted, `reduce` explains a failure, `report`
prints, `__main__` is the command.
"""
