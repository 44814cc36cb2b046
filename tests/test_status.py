# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""accel/status.py: the codes are an interface, and each says what was wrong in one line."""

from litenorm.accel.status import STATUS_BITS, Status


def test_codes():
    """Drivers in the field know these numbers."""
    assert {s.name: int(s) for s in Status} == dict(
        OK=0, BAD_OP=1, BAD_FORMAT=2, BAD_LENGTH=3, BAD_ROWS=4, BAD_ALIGNMENT=5, OUT_OF_WINDOW=6, BUS_ERROR=7,
        BUS_TIMEOUT=8, ABORTED=9, SELF_CHECK=10, WATCHDOG=11, SKIPPED=12)


def test_codes_fit_the_register():
    assert max(Status) < 1 << STATUS_BITS


def test_every_code_has_its_own_line():
    texts = [status.text for status in Status]
    assert len(set(texts)) == len(Status)
    assert all(text and "\n" not in text and len(text) < 120 for text in texts)
