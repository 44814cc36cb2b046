# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""How a job ended: the codes in the peripheral's `status` register and, negated, the driver's return values."""

from enum import IntEnum


class Status(IntEnum):
    """Status of the last job. Every code but OK raises the error interrupt; the core is ready for the next job."""

    OK = 0
    BAD_OP = 1
    BAD_FORMAT = 2
    BAD_LENGTH = 3
    BAD_ROWS = 4
    BAD_ALIGNMENT = 5
    OUT_OF_WINDOW = 6
    BUS_ERROR = 7
    BUS_TIMEOUT = 8
    ABORTED = 9
    SELF_CHECK = 10
    WATCHDOG = 11
    SKIPPED = 12

    @property
    def text(self):
        """One line: what was wrong, and what the hardware has done."""
        return _TEXT[self]


_TEXT = {
    Status.OK: "the job is complete: every row was written",
    Status.BAD_OP: "the operation, input type, affine step, mask or eps is not built into this core; "
                   "nothing was read or written",
    Status.BAD_FORMAT: "the output format is not built into this core; nothing was read or written",
    Status.BAD_LENGTH: "the length is 0 or above max_length; nothing was read or written",
    Status.BAD_ROWS: "the number of rows is 0; nothing was read or written",
    Status.BAD_ALIGNMENT: "an address or stride is not a multiple of the bus word; nothing was read or written",
    Status.OUT_OF_WINDOW: "an address lies outside the DMA window; it was not accessed, earlier rows may be written",
    Status.BUS_ERROR: "the bus answered with an error; the job ended there, earlier rows may be written",
    Status.BUS_TIMEOUT: "the bus did not answer in time; the access was given up, earlier rows may be written",
    Status.ABORTED: "software aborted the job; earlier rows may be written, the last one of them in part",
    Status.SELF_CHECK: "the sum of a row was not exact: a fault in the hardware; do not use this job's output",
    Status.SKIPPED: "the job waited behind one that ended with an error; nothing was read or written",
    Status.WATCHDOG: "no data moved for too long: a fault in the hardware; the core was reset, rows may be written",
}

STATUS_BITS = 4
