# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""accel/config.py: what is accepted, what is refused, and that every derived width holds its largest value."""

import dataclasses

import numpy as np
import pytest

from litenorm.accel import LiteNormConfig
from litenorm.accel import constants as c
from litenorm.accel.formats import FORMATS

SHAPES = [
    dict(lanes=lanes, max_length=max_length, ops=ops, inputs=inputs)
    for lanes in c.LANES
    for ops, lengths in ((c.OPS, (2, 3, 64, 1000, 1024)), (("softmax",), (2, 1025, 4095, 4096)), (("rmsnorm",), (511,)))
    for max_length in lengths
    for inputs in (("s8",), ("s16",), ("s8", "s16"))
]


def test_defaults():
    config = LiteNormConfig()
    assert (config.lanes, config.max_length, config.ops, config.formats) == (4, 1024, c.OPS, tuple(FORMATS))
    assert config.inputs == ("s8", "s16") and config.affine and config.backend == "parallel"


def test_defaults_of_the_serial_back_end():
    config = LiteNormConfig(backend="serial")
    assert (config.lanes, config.max_length, config.ops, config.formats) == (1, 1024, c.OPS, ("u8_255",))
    assert (config.inputs, config.affine, config.size) == (("s8",), False, "area")
    assert (config.masks, config.eps) == (True, False)
    assert config.serial and not LiteNormConfig().serial
    assert dataclasses.replace(config, size="balanced") == LiteNormConfig(backend="serial", size="balanced")


@pytest.mark.parametrize("max_length", [2, 512, 513, 1000, 1024])
def test_serial_sum_holds_the_largest_values(max_length):
    """v is at least -(S + 1), and at most 256 * e; one bit less does not hold it."""
    bits = LiteNormConfig(backend="serial", ops="softmax", max_length=max_length).serial_sum_bits
    largest = (c.serial_exp2_table()[0] << (c.SERIAL_EXP_BITS - c.SERIAL_TABLE_BITS))
    assert max_length * largest + 1 <= 1 << (bits - 1)
    assert largest * 256 < 1 << (bits - 1)
    assert max(max_length, 256) * largest + 1 > 1 << (bits - 2)


def test_equal_cores_are_equal_configs():
    """Order, doubles, lists and single names make no difference."""
    a = LiteNormConfig(ops=("rmsnorm", "softmax", "softmax"), inputs=["s16", "s8"], formats="tfl_s8")
    b = LiteNormConfig(ops=["softmax", "rmsnorm"], formats=("tfl_s8",))
    assert a == b and hash(a) == hash(b)
    assert a.ops == ("softmax", "rmsnorm")
    with pytest.raises(dataclasses.FrozenInstanceError):
        a.lanes = 8


def test_integers_of_numpy_are_stored_as_int():
    """The configuration is written as JSON for the SoC's build."""
    config = LiteNormConfig(lanes=np.int64(8), max_length=np.uint16(64), affine=np.bool_(False))
    assert config == LiteNormConfig(lanes=8, max_length=64, affine=False)
    assert (type(config.lanes), type(config.max_length), type(config.affine)) == (int, int, bool)


@pytest.mark.parametrize("ops,softmax,norm", [
    (("softmax",), True, False), (("layernorm",), False, True), (("rmsnorm",), False, True), (c.OPS, True, True)])
def test_what_is_built(ops, softmax, norm):
    for affine in (False, True):
        config = LiteNormConfig(ops=ops, affine=affine)
        assert (config.has_softmax, config.has_norm, config.has_affine) == (softmax, norm, norm and affine)


@pytest.mark.parametrize("inputs,bits", [("s8", 8), ("s16", 16), (("s8", "s16"), 16)])
def test_input_bits(inputs, bits):
    assert LiteNormConfig(inputs=inputs).input_bits == bits


@pytest.mark.parametrize("lanes", c.LANES)
def test_beats(lanes):
    config = LiteNormConfig(lanes=lanes)
    assert [config.beats(n) for n in (1, lanes, lanes + 1, 1024)] == [1, 1, 2, 1024 // lanes]
    assert config.max_beats == 1024 // lanes


def holds(bits, value, signed=False):
    """Bits that are enough for `value`, and one less is not."""
    return value.bit_length() + signed == bits


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "-".join(map(str, s.values())))
def test_widths_hold_the_largest_values(shape):
    config = LiteNormConfig(**shape)
    n, x = config.max_length, 1 << (config.input_bits - 1)
    assert holds(config.length_bits, n)
    assert holds(config.exp_sum_bits, n << c.EXP_BITS)
    assert holds(config.square_sum_bits, n * x * x)
    # The sum of n elements -x is -2^b at the least, which b + 1 bits hold.
    assert -(1 << (config.sum_bits - 1)) <= -n * x
    # A sum of squares never exceeds its n-fold, eps is added to either.
    assert (n * n * x * x + (1 << c.EPS_BITS) - 1).bit_length() <= config.variance_bits
    # n truncations of less than 2^-FB each, and the quarter ulp of the reciprocal, stay below half an ulp.
    assert n / 2**config.fraction_bits <= 1 / 4 and config.fraction_bits >= c.MIN_FRACTION_BITS
    # Outputs lie between -2^16 and 2^16: modulo 2^17 tells them apart.
    assert config.accumulator_bits - config.fraction_bits == c.CODE_BITS + 1
    assert max(f.code for f in FORMATS.values()) < 1 << config.format_bits


@pytest.mark.parametrize("max_length", [2, 64, 1024])
def test_fraction_is_the_same_up_to_1024(max_length):
    """Why max_length changes no code."""
    assert LiteNormConfig(max_length=max_length).fraction_bits == c.MIN_FRACTION_BITS


BAD = {
    "lanes_3": (dict(lanes=3), "lanes is 3; good: 1, 2, 4, 8, 16"),
    "lanes_32": (dict(lanes=32), "good: 1, 2, 4, 8, 16"),
    "ops": (dict(ops=("gelu",)), "ops is ('gelu',); good: one or more of softmax, layernorm, rmsnorm"),
    "one_op": (dict(ops="gelu"), "ops is ('gelu',)"),
    "no_ops": (dict(ops=()), "ops is (); good: one or more of"),
    "formats": (dict(formats=("u8",)), "good: one or more of u8_255, tfl_s8"),
    "inputs": (dict(inputs=("f32",)), "good: one or more of s8, s16"),
    "backend": (dict(backend="fast"), "backend is 'fast'; good: parallel"),
    "length_1": (dict(max_length=1), "max_length is 1; good: 2 to 1024 for ops softmax, layernorm, rmsnorm"),
    "length_1025": (dict(max_length=1025), "good: 2 to 1024"),
    "length_4097": (dict(max_length=4097, ops="softmax"), "good: 2 to 4096 for ops softmax"),
    "lanes_float": (dict(lanes=4.0), "lanes is 4.0; good: 1, 2, 4, 8, 16"),
    "lanes_bool": (dict(lanes=True), "lanes is True; good: 1, 2, 4, 8, 16"),
    "size_of_parallel": (dict(size="area"), "size is 'area'; good: None for the parallel back end"),
    "masks": (dict(masks="no"), "masks is 'no'; good: True, False"),
    "masks_of_parallel": (dict(masks=False), "masks is False; good: True for the parallel back end"),
    "eps_of_parallel": (dict(eps=False), "eps is False; good: True for the parallel back end"),
    "serial_lanes": (dict(backend="serial", lanes=2), "lanes is 2; good: 1 for the serial back end"),
    "serial_inputs": (dict(backend="serial", inputs="s16"), "inputs is ('s16',); good: ('s8',) for the serial"),
    "serial_affine": (dict(backend="serial", affine=True), "affine is True; good: False for the serial back end"),
    "short_rows": (dict(short_rows=1), "short_rows is 1; good: True, False"),
    "serial_short_rows": (dict(backend="serial", short_rows=True),
                          "short_rows is True; good: False for the serial back end"),
    "serial_parity": (dict(backend="serial", parity=True), "parity is True; good: False for the serial back end"),
    "serial_size": (dict(backend="serial", size="small"), "size is 'small'; good: area, balanced"),
    "serial_formats": (dict(backend="serial", formats="tfl_s16"), "good: one or more of u8_255, tfl_s8 for the serial"),
    "serial_formats_of_both_widths": (dict(backend="serial", ops="softmax", size="balanced",
                                           formats=("u8_255", "u16_q15")),
                                      "of u8_255, tfl_s8, or of u16_q15, tfl_s16, u16_65535 for the serial back end"),
    "serial_length": (dict(backend="serial", ops="softmax", max_length=1025), "good: 2 to 1024"),
    "ops_none": (dict(ops=None), "ops is None; good: one or more of softmax"),
    "formats_nested": (dict(formats=(["x"],)), "formats is (['x'],); good: one or more of u8_255"),
    "inputs_number": (dict(inputs=8), "inputs is 8; good: one or more of s8, s16"),
    "affine": (dict(affine="no"), "affine is 'no'; good: True, False"),
    "backend_list": (dict(backend=["parallel"]), "backend is ['parallel']; good: parallel"),
    "length_bool": (dict(max_length=True), "max_length is True; good: 2 to 1024"),
    "length_float": (dict(max_length=64.0), "max_length is 64.0; good: 2 to 1024"),
}


@pytest.mark.parametrize("name", BAD)
def test_refused(name):
    arguments, text = BAD[name]
    with pytest.raises(ValueError) as error:
        LiteNormConfig(**arguments)
    assert text in str(error.value) and "\n" not in str(error.value)
