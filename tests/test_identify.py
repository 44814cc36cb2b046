# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""soc/identify.py: the identification of a SoC follows what its headers say, and nothing else."""

import re

import pytest

from litenorm.accel import LiteNormConfig
from litenorm.soc.identify import identify
from litenorm.soc.sim import SimSoC


def identified(**options):
    soc = SimSoC(**options)
    return soc, identify(soc)


def test_text_is_in_the_memory_and_in_the_headers():
    soc, text = identified()
    assert re.fullmatch(r"LiteNorm simulation SoC, id [0-9a-f]{8}", text)
    assert bytes(soc.identifier.mem.init) == text.encode() + b"\0"
    assert soc.identifier.mem.depth == len(text) + 1
    assert soc.constants["CONFIG_IDENTIFIER"] == text


def test_same_soc_same_text_and_another_soc_another():
    texts = [identified(**options)[1] for options in (
        {}, {"with_litenorm": False}, {"bios": True}, {"main_ram_size": 2**21},
        {"litenorm_config": LiteNormConfig(lanes=8)}, {"litenorm_config": LiteNormConfig(max_length=512)})]
    assert len(set(texts)) == len(texts)
    assert identified()[1] == texts[0]


def test_uart_and_identifier_are_where_the_firmware_of_another_soc_looks():
    for options in ({}, {"with_litenorm": False}, {"bios": True}):
        soc, _ = identified(**options)
        assert [soc.csr_regions[name].origin & 0xffff for name in ("identifier_mem", "uart")] == [0x800, 0x1000]


def test_what_only_the_bios_reads_does_not_count():
    """The firmware that was built before the BIOS was told to boot it is the right one."""
    soc = SimSoC()
    soc.add_constant("ROM_BOOT_ADDRESS", 0x40000000)
    assert identify(soc) == identified()[1]
    soc = SimSoC()
    soc.add_constant("SOMETHING_ELSE", 1)
    assert identify(soc) != identified()[1]


def test_what_cannot_be_identified():
    soc, _ = identified()
    with pytest.raises(ValueError, match="finalized; good: identify.. before Builder.build"):
        identify(soc)
    soc = SimSoC()
    soc.identifier.mem.init = [*b"x" * 250, 0]
    with pytest.raises(ValueError, match="has 263 characters with the identification; good: at most 255"):
        identify(soc)
    del soc.identifier
    with pytest.raises(ValueError, match="has no identifier; good"):
        identify(soc)
