# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Fault campaign: single bits of registers and memories are flipped while rows pass, and what comes of it is counted.

    python -m litenorm.sim.faults --upsets 20000 --seed 1
    python -m litenorm.sim.faults --target peripheral

The device is the generated Verilog with every register and memory writable (`SignalDut(state=True)`). Upset k is drawn
from (seed, k) alone: a workload of short rows of all operations, formats, masks and gamma and beta; a register (four
in five; all registers alike) or a memory (the others; in proportion to its bits), a bit of it, and a cycle of the
workload before which it is flipped. Then the workload runs on, its outputs are compared with those of the undisturbed
run, and a second workload shows whether the device works afterwards: as it is, or after a reset.

Outcomes, the first that applies:

    row_error    core: rows are damaged, and row_error pulsed not later than the row_done of the first of them
                 peripheral: the job ended with an error code, and its rows are damaged
    otherwise    damaged, and seen in another way: a later row_error, or another number of row_done pulses;
                 peripheral: an interrupt while `busy` is set, and the job ended later, not `sum` or `misplaced`
    hung         core: no transfer for HANG_CYCLES, and no row_error; peripheral: busy, no interrupt in JOB_CYCLES
    lost         peripheral: no interrupt in JOB_CYCLES; the status register says that the job ended, and truly how:
                 software that polls it, as litenorm_wait() does, has lost nothing
    misplaced    peripheral: bytes outside of the job's destination were written, and the job ended with OK
    spilled      the same, and the job ended with an error code
    framing      rows have another number of beats, unseen
    sum          a row that has an exact sum (softmax, LayerNorm without gamma and beta) has another one, unseen
    elements     elements of such a row are wrong and its sum is right, unseen
    unchecked    elements of a row without an exact sum (RMSNorm; gamma and beta) are wrong, unseen
    alarm        nothing is damaged, and row_error pulsed or the job ended with an error code
    status       nothing is damaged, but constant_row or the rows counted are wrong
    masked       nothing happened

Exit code 1 when a sum was wrong or bytes were misplaced unseen, when the peripheral hung, or when a reset did not help.

Modules: `upset` is one flipped bit, `core` and `peripheral` are what it happens to, `units` names the places,
`campaign` counts, `report` prints, `__main__` is the command.
"""
