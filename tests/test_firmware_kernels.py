# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The integer kernels, compiled for this machine, against NumPy: in C, and by the custom instructions' model."""

import ctypes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litenorm.accel.formats import FORMATS
from litenorm.firmware import host
from litenorm.nn.block import Requant
from litenorm.soc import cfu_model


class KernelRequant(ctypes.Structure):
    """struct kernel_requant"""

    _fields_ = [
        ("multiplier", ctypes.c_void_p),
        ("shift", ctypes.c_void_p),
        ("step", ctypes.c_uint32),
        ("out_bytes", ctypes.c_uint32),
    ]

    def __init__(self, requant, step=1):
        out_bytes = {"s8": 1, "s16": 2}[requant.out]
        super().__init__(requant.multiplier.ctypes.data, requant.shift.ctypes.data, step, out_bytes)
        self.requant = requant  # keeps the arrays alive


DTYPES = {"s8": np.int8, "s16": np.int16}


SOURCES = ("kernels.c", "multiply.c", "vector.c", "kernels_cfu.c", "cfu_model.c")


@pytest.fixture(scope="module", params=("plain", "sanitized", "cfu"))
def kernels(request, tmp_path_factory):
    """cfu: with the model of the custom instructions"""
    folder = tmp_path_factory.mktemp("kernels")
    if request.param == "cfu":
        cfu_model.write_header(folder)
    return host.build(folder, SOURCES, flags=() if request.param == "plain" else host.SANITIZED)


def pointer(array):
    address = ctypes.c_void_p(array.ctypes.data)
    address.array = array   # keeps it alive
    return address


def panels(a, dtype=np.int8):
    """[rows, depth] as the kernels' panels: [panel][depth][4], zeros around it."""
    rows, depth = a.shape
    padded = np.zeros((-(-rows // 4) * 4, -(-depth // 4) * 4), dtype)
    padded[:rows, :depth] = a
    return np.ascontiguousarray(padded.reshape(-1, 4, padded.shape[1]).transpose(0, 2, 1))


def random_requant(rng, channels, out, factor=1.0):
    return Requant.from_real(factor * np.exp(rng.uniform(-3, 1, channels)), out)


SHAPES = [(1, 1), (4, 4), (3, 5), (5, 3), (8, 8), (9, 17), (16, 6), (1, 64), (64, 1)]


@pytest.mark.parametrize("rows, depth", SHAPES)
def test_pack_s8(kernels, rows, depth):
    a = np.random.default_rng(1).integers(-128, 128, (rows, depth)).astype(np.int8)
    expected = panels(a)
    for source, steps in ((a, (depth, 1)), (np.ascontiguousarray(a.T), (1, rows))):
        packed = np.full(expected.shape, 99, np.int8)
        kernels.kernel_pack_s8(pointer(packed), pointer(source), rows, steps[0], depth, steps[1])
        np.testing.assert_array_equal(packed, expected)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("rows, depth", [(1, 1), (4, 4), (3, 5), (2, 9), (4, 12)])
def test_pack_codes(kernels, name, rows, depth):
    fmt = FORMATS[name]
    info = np.iinfo(fmt.dtype)
    codes = np.random.default_rng(2).integers(info.min, info.max + 1, (rows, depth + 3)).astype(fmt.dtype)
    codes[0, 0], codes[-1, -1] = info.min, info.max
    packed = np.full((1, -(-depth // 4) * 4, 4), 7, np.uint16)
    kernels.kernel_pack_codes(pointer(packed), pointer(codes), codes.itemsize, fmt.zero_point, rows, codes.strides[0],
                              depth)
    np.testing.assert_array_equal(packed, panels(codes[:, :depth].astype(np.int64) - fmt.zero_point, np.uint16))


@pytest.mark.parametrize("depth", (1, 3, 4, 5, 8, 31, 128, 1024))
def test_multiply(kernels, depth):
    rng = np.random.default_rng(3)
    for function, dtype, low, high in (
        (kernels.kernel_multiply_s8, np.int8, -128, 128),
        (kernels.kernel_multiply_u16, np.uint16, 0, 65536 if depth < 200 else 64),
    ):
        for case in range(3):
            a = rng.integers(low, high, (4, depth)) if case else np.full((4, depth), low or high - 1)
            b = rng.integers(-128, 128, (4, depth)) if case else np.full((4, depth), -128)
            tile = np.zeros((4, 4), np.int32)
            function(pointer(tile), pointer(panels(a, dtype)), pointer(panels(b)), depth)
            np.testing.assert_array_equal(tile, a @ b.T)


@pytest.mark.parametrize("out", DTYPES)
@pytest.mark.parametrize("rows, columns", [(1, 1), (4, 4), (3, 2), (1, 4), (4, 1)])
def test_store_tile_writes_its_elements_only(kernels, out, rows, columns):
    rng = np.random.default_rng(4)
    tile = rng.integers(-(2**20), 2**20, (4, 4)).astype(np.int32)
    bias = rng.integers(-(2**20), 2**20, 4).astype(np.int32)
    requant = random_requant(rng, 10, out, 2**-14 if out == "s8" else 2**-6)
    stored = np.full((4, 9), 77, DTYPES[out])
    kernels.kernel_store_tile(pointer(tile), rows, columns, pointer(bias), ctypes.byref(KernelRequant(requant)), 5,
                              pointer(stored), 9)
    part = Requant(requant.multiplier[5 : 5 + columns], requant.shift[5 : 5 + columns], out)
    expected = np.full((4, 9), 77)
    expected[:rows, :columns] = part(tile[:rows, :columns].astype(np.int64) + bias[:columns])
    np.testing.assert_array_equal(stored, expected)


@pytest.mark.parametrize("out", DTYPES)
@pytest.mark.parametrize("rows, inputs, outputs", [(1, 4, 4), (3, 8, 12), (5, 36, 20), (16, 64, 40), (7, 10, 6)])
def test_linear(kernels, rows, inputs, outputs, out):
    rng = np.random.default_rng(5)
    x = rng.integers(-128, 128, (rows, inputs))
    weight = rng.integers(-127, 128, (outputs, inputs))
    bias = rng.integers(-(2**15), 2**15, outputs).astype(np.int32)
    requant = random_requant(rng, outputs, out, (0.01 if out == "s8" else 1) / inputs**0.5)
    stored = np.zeros((rows, outputs), DTYPES[out])
    kernels.kernel_linear(pointer(stored), pointer(panels(x)), pointer(panels(weight)), pointer(bias),
                          ctypes.byref(KernelRequant(requant)), rows, inputs, outputs)
    np.testing.assert_array_equal(stored, requant(x @ weight.T + bias))
    assert np.ptp(stored.astype(np.int64)) > 0


@pytest.mark.parametrize("out", DTYPES)
@pytest.mark.parametrize("kind", ("s8", "u16"))
@pytest.mark.parametrize("rows, depth, columns, step", [(1, 4, 4, 1), (4, 20, 12, 1), (3, 33, 7, 0), (2, 7, 9, 1)])
def test_tiles_write_their_elements_only(kernels, rows, depth, columns, step, kind, out):
    """A row of tiles in the middle of a larger output, words and not; the right panels are deeper than the product."""
    rng = np.random.default_rng(8)
    low, high = (-128, 128) if kind == "s8" else (0, 65536)
    a, b = rng.integers(low, high, (rows, depth)), rng.integers(-128, 128, (columns, depth + 5))
    left = panels(a, np.int8 if kind == "s8" else np.uint16)
    right = panels(b)
    requant = random_requant(rng, 30, out, (1 if out == "s16" else 0.01) / (1 if kind == "s8" else 256) / depth**0.5)
    for first in (4, 5):
        stored = np.full((5, 24), 55, DTYPES[out])
        # The product ends where the left panel does: what is behind it in the right one does not count.
        getattr(kernels, f"kernel_tiles_{kind}")(
            pointer(stored[:, first:]), 24, pointer(left), pointer(right), right.strides[0],
            ctypes.byref(KernelRequant(requant, step)), 3, rows, columns, depth)
        channels = (3 + np.arange(columns)) * step
        part = Requant(requant.multiplier[channels], requant.shift[channels], out)
        expected = np.full((5, 24), 55)
        expected[:rows, first:first + columns] = part(a @ b[:, :depth].T)
        np.testing.assert_array_equal(stored, expected)


@pytest.mark.parametrize("out", DTYPES)
@pytest.mark.parametrize("kind", ("s8", "u16"))
@pytest.mark.parametrize("depth, columns, step, shift", [(4, 4, 1, 0), (32, 12, 0, 0), (71, 9, 1, 0), (20, 5, 0, 2)])
def test_product_of_one_row(kernels, depth, columns, step, shift, kind, out):
    """Also of a row that does not begin at a word; with and without a bias."""
    rng = np.random.default_rng(9)
    low, high = (-128, 128) if kind == "s8" else (0, 65536)
    row = rng.integers(low, high, depth + 8).astype(np.int8 if kind == "s8" else np.uint16)   # read up to a whole panel
    a, b = row[shift:][:depth].astype(np.int64), rng.integers(-128, 128, (columns, depth))
    right = panels(b)
    bias = rng.integers(-(2**12), 2**12, columns).astype(np.int32)
    requant = random_requant(rng, 30, out, (1 if out == "s16" else 0.01) / (1 if kind == "s8" else 256) / depth**0.5)
    channels = (3 + np.arange(columns)) * step
    part = Requant(requant.multiplier[channels], requant.shift[channels], out)
    for first in (4, 5):
        for added in (None, bias):
            stored = np.full(24, 55, DTYPES[out])
            getattr(kernels, f"vector_product_{kind}")(
                pointer(stored[first:]), pointer(row[shift:]), pointer(right), right.strides[0],
                None if added is None else pointer(added), ctypes.byref(KernelRequant(requant, step)), 3, columns,
                depth)
            expected = np.full(24, 55)
            expected[first:first + columns] = part(a @ b.T + (0 if added is None else added))
            np.testing.assert_array_equal(stored, expected)


S32 = st.integers(-(2**31), 2**31 - 1)


@settings(max_examples=500, deadline=None)
@given(
    x=st.lists(st.one_of(S32, st.sampled_from((-(2**31), -1, 0, 1, 2**31 - 1))), min_size=16, max_size=16),
    multiplier=st.one_of(st.integers(0, 2**31 - 1), st.sampled_from((0, 1, 2**30, 2**31 - 1))),
    shift=st.integers(1, 62),
    out=st.sampled_from(tuple(DTYPES)),
)
def test_any_requantization(kernels, x, multiplier, shift, out):
    requant = Requant(np.array([multiplier]), np.array([shift]), out)
    tile = np.array(x, np.int64).astype(np.int32).reshape(4, 4)
    stored = np.zeros((4, 4), DTYPES[out])
    kernels.kernel_store_tile(pointer(tile), 4, 4, None, ctypes.byref(KernelRequant(requant, step=0)), 3,
                              pointer(stored), 4)
    exact = [[(int(v) * multiplier + (1 << (shift - 1))) >> shift for v in row] for row in tile]
    info = np.iinfo(DTYPES[out])
    np.testing.assert_array_equal(stored, [[min(max(v, info.min), info.max) for v in row] for row in exact])


@pytest.mark.parametrize("out", DTYPES)
def test_requantize_rows(kernels, out):
    rng = np.random.default_rng(6)
    x = rng.integers(-(2**15), 2**15, (7, 12)).astype(np.int16)
    requant = random_requant(rng, 12, out, 0.01 if out == "s8" else 1)
    stored = np.zeros(x.shape, DTYPES[out])
    kernels.kernel_requantize(pointer(stored), pointer(x), ctypes.byref(KernelRequant(requant)), *x.shape)
    np.testing.assert_array_equal(stored, requant(x))


def test_lookup_of_every_code(kernels):
    table = np.random.default_rng(7).integers(-128, 128, 256).astype(np.int8)
    x = np.arange(-128, 128).astype(np.int8)
    out = np.zeros(256, np.int8)
    kernels.kernel_lookup(pointer(out), pointer(x), pointer(table), x.size)
    np.testing.assert_array_equal(out, table)


def test_add_saturates(kernels):
    values = np.array([-32768, -32767, -20000, -1, 0, 1, 20000, 32766, 32767])
    a, b = (v.ravel().astype(np.int16) for v in np.meshgrid(values, values))
    out = np.zeros_like(a)
    kernels.kernel_add(pointer(out), pointer(a), pointer(b), out.size)
    np.testing.assert_array_equal(out, np.clip(a.astype(np.int64) + b, -32768, 32767))
