# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Jobs for the peripheral: their registers, their rows in a memory, and what the model says they give.

    job = random_job(rng, config, memory)
    job.store(memory)
    start(dut, job)                     # dut: a CsrDut with a LiteNormPeripheral
    dut.run_until("irq")
    assert np.array_equal(job.output(memory), job.expected(config))
"""

from dataclasses import dataclass

import numpy as np

from litenorm.accel import constants as c
from litenorm.accel import model
from litenorm.accel.affine import Affine
from litenorm.accel.formats import FORMATS
from litenorm.accel.scale import Scale

INPUT_DTYPES = {"s8": np.dtype("<i1"), "s16": np.dtype("<i2")}


@dataclass
class Job:
    """One job: `rows`, int [rows, N], of type `input` ("s8" or "s16") through `op`.

    src, dst, src_stride, dst_stride  bytes, as in the registers; word_bytes: the bus word, to which rows are padded
    fmt, scale    softmax: output format and Scale
    eps           norms: the integer of the register
    affine        norms: None, or an Affine of N elements at addresses gamma and beta
    mask          base, increment, period, as in the registers
    """

    op: str
    rows: np.ndarray
    src: int
    dst: int
    input: str = "s8"
    src_stride: int = 0
    dst_stride: int = 0
    fmt: str = "u16_q15"
    scale: Scale = Scale.from_real(0.05)
    eps: int = 0
    affine: Affine | None = None
    gamma: int = 0
    beta: int = 0
    mask: tuple = (0, 0, 0)
    word_bytes: int = 4

    @property
    def length(self):
        return self.rows.shape[1]

    @property
    def output_dtype(self):
        if self.op == "softmax":
            return FORMATS[self.fmt].dtype.newbyteorder("<")
        return np.dtype("<i2") if self.affine is None else self.affine.dtype.newbyteorder("<")

    def registers(self):
        """Fields of `soc.job.job_layout`, name to value."""
        affine = self.affine
        return {
            "src": self.src,
            "dst": self.dst,
            "src_stride": self.src_stride,
            "dst_stride": self.dst_stride,
            "rows": self.rows.shape[0],
            "length": self.length,
            "op": c.OPS.index(self.op),
            "input": list(c.INPUTS).index(self.input),
            "format": FORMATS[self.fmt].code,
            "affine": int(affine is not None),
            "output": int(affine is not None and affine.out == "s16"),
            "scale_multiplier": self.scale.multiplier,
            "scale_shift": self.scale.shift,
            "eps": self.eps,
            "gamma": self.gamma,
            "beta": self.beta,
            "affine_shift": affine.shift if affine else 0,
            "beta_shift": affine.beta_shift if affine else 0,
            "mask_base": self.mask[0],
            "mask_increment": self.mask[1],
            "mask_period": self.mask[2],
        }

    def lengths(self):
        """Valid elements of each row, int [rows]."""
        base, increment, period = self.mask
        r = np.arange(len(self.rows), dtype=np.int64)
        valid = base + (r % period if period else r) * increment
        return np.minimum(valid, self.length) if base else np.full(len(r), self.length)

    def expected(self, config):
        """The model's codes [rows, N]."""
        lengths = self.lengths()
        if self.op == "softmax":
            return model.softmax(self.rows, self.scale, self.fmt, length=lengths, config=config)
        function = getattr(model, self.op)
        out = np.zeros(self.rows.shape, self.output_dtype)
        for n in np.unique(lengths):
            # The register holds eps * n^2 for all rows; the model takes eps.
            chosen = lengths == n
            out[chosen] = function(self.rows[chosen], self.eps / int(n) ** 2, length=int(n), affine=self.affine,
                                   config=config)
        return out

    # In memory -----------------------------------------------------------------------------------

    def row_addresses(self, which):
        """Byte addresses of the rows, int [rows], of "src" or "dst"."""
        size = (INPUT_DTYPES[self.input] if which == "src" else self.output_dtype).itemsize
        packed = -(-self.length * size // self.word_bytes) * self.word_bytes
        stride = getattr(self, f"{which}_stride") or packed
        return getattr(self, which) + np.arange(len(self.rows)) * stride

    def store(self, memory):
        """Put rows, gamma and beta into a `wishbone.Memory`."""
        for address, row in zip(self.row_addresses("src"), self.rows, strict=True):
            memory.write(int(address), row.astype(INPUT_DTYPES[self.input]))
        if self.affine is not None:
            memory.write(self.gamma, self.affine.gamma.astype("<i2"))
            memory.write(self.beta, self.affine.beta.astype("<i2"))

    def output(self, memory):
        """The rows at the destination, codes [rows, N]."""
        return np.stack([memory.read(int(a), self.length, self.output_dtype) for a in self.row_addresses("dst")])

    def output_bytes(self):
        """Addresses of all bytes that the job may write, int [rows * N * bytes], sorted."""
        size = self.length * self.output_dtype.itemsize
        return np.sort((self.row_addresses("dst")[:, None] + np.arange(size)).reshape(-1))


def random_job(rng, config, memory, max_rows=12, max_length=None, **fixed):
    """A job of random op, formats, shape, strides, mask and addresses in `memory`, whose output touches nothing else.

    rng     numpy Generator;  config: LiteNormConfig, within which the job is good
    fixed   arguments of Job that are not drawn, "shape" (rows, N) for that of the rows
    """
    fixed = dict(fixed)
    word = fixed.get("word_bytes", 4)
    op = fixed.setdefault("op", str(rng.choice(config.ops)))
    input_ = fixed.setdefault("input", str(rng.choice(config.inputs)))
    shape = fixed.pop("shape", None)
    if shape is None:
        longest = min(max_length or config.max_length, config.max_length)
        short = rng.integers(1, min(40, longest) + 1)
        shape = int(rng.integers(1, max_rows + 1)), int(rng.choice([short, rng.integers(1, longest + 1), longest]))
    rows, length = shape
    low = -(1 << (c.INPUTS[input_] - 1))
    values = rng.integers(low, -low, shape)
    kind = rng.integers(0, 4)
    if kind == 0:
        values = np.where(rng.random(shape) < 0.5, low, -low - 1)
    elif kind == 1:
        values = np.broadcast_to(rng.integers(low, -low, (rows, 1)), shape).copy()
    scale = float(np.exp(rng.uniform(np.log(1e-4), np.log(2))))
    fixed.setdefault("scale", Scale.from_real(min(scale, config.max_scale)))
    if op == "softmax":
        fixed.setdefault("fmt", str(rng.choice(config.formats)))
    else:
        fixed.setdefault("eps", int(rng.integers(0, 1 << int(rng.integers(1, config.eps_bits)))) if config.eps else 0)
        if "affine" not in fixed and config.has_affine and rng.random() < 0.5:
            gamma, beta = rng.integers(-(1 << 15), 1 << 15, (2, length))
            fixed["affine"] = Affine(gamma, beta, int(rng.integers(8, 32)), int(rng.integers(0, 16)),
                                     str(rng.choice(["s8", "s16"])))
    if "mask" not in fixed:
        base = int(rng.integers(0, length + 1)) if rng.random() < 0.5 else 0
        base = base if config.masks else 0
        fixed["mask"] = (base, int(rng.choice([0, 1, rng.integers(0, 1 << 16)])), int(rng.integers(0, rows + 2)))
    job = Job(rows=values, src=0, dst=0, **fixed)

    def stride(size):
        packed = -(-size // word) * word
        return 0 if rng.random() < 0.5 else packed + int(rng.integers(0, 5)) * word

    sizes = {"src": INPUT_DTYPES[input_].itemsize * length, "dst": job.output_dtype.itemsize * length}
    for which, size in sizes.items():
        if f"{which}_stride" not in fixed:
            setattr(job, f"{which}_stride", stride(size))
    # Side by side in random order, some words apart.
    extents = {which: int(np.ptp(job.row_addresses(which))) + size for which, size in sizes.items()}
    if job.affine is not None:
        extents["gamma"] = extents["beta"] = 2 * length
    names = list(extents)
    rng.shuffle(names)
    gaps = memory.data.size - sum(-(-size // word) * word for size in extents.values())
    if gaps < 0:
        raise ValueError(f"the memory of {memory.data.size} bytes is too small for a job of {sum(extents.values())}")
    cuts = np.sort(rng.integers(0, gaps // word + 1, len(names))) * word
    used = 0
    for name, cut in zip(names, cuts, strict=True):
        setattr(job, name, memory.base + int(cut) + used)
        used += -(-extents[name] // word) * word
    return job


def csr_fields(registers):
    """`Job.registers()` as the peripheral has them: dict of name to the dict of its fields, or to its value."""
    fields = dict(registers)
    groups = {
        "mode": {name: name for name in ("op", "input", "format", "affine", "output")},
        "scale": {"multiplier": "scale_multiplier", "shift": "scale_shift"},
        "affine": {"shift": "affine_shift", "beta_shift": "beta_shift"},
    }
    grouped = {name: {field: fields.pop(key) for field, key in names.items()} for name, names in groups.items()}
    return grouped | fields


def program(dut, job):
    """Write a job's registers through a `csr.CsrDut`."""
    for name, value in csr_fields(job.registers()).items():
        dut.write(name, **value) if isinstance(value, dict) else dut.write(name, value)


def start(dut, job):
    """Write a job's registers and start it."""
    program(dut, job)
    dut.write("control", start=1)
