# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The workload `generate`: a language model writes text on the simulated SoC, token for token as the NumPy reference.

The firmware has all layers, keys and values, embeddings and the sampler; softmax and LayerNorm are the core's
("accel") or the C twin's on the same CPU ("cpu"). Each token must be the reference's, and so must the CRC-32 of the
logits of all steps.
"""

import codecs
import re
import zlib
from dataclasses import dataclass, replace

import numpy as np
from rich.console import Console
from rich.table import Table

from litenorm.nn.generate import Sampler, generate
from litenorm.nn.image import write_gpt_image
from litenorm.sim.errors import ProtocolError
from litenorm.sim.layer import PATHS, show_ratio, weights
from litenorm.sim.progress import TerminalObserver
from litenorm.sim.runner import IMAGE_OFFSET, SimResult, run_soc
from litenorm.sim.workloads import describe_run

OPERATIONS = ("gemm", "softmax", "layernorm", "gelu", "sampler", "other", "total")
LABELS = {"gemm": "GEMM", "softmax": "softmax", "layernorm": "LayerNorm", "gelu": "GELU", "sampler": "sampler",
          "other": "other", "total": "total"}
PHASES = ("prompt", "text")  # the prompt with the first token behind it, and the other tokens
ROWS = ("softmax", "layernorm", "sampler")
PROMPT = "In the beginning"
TOKENS = 64


@dataclass(frozen=True)
class GenerateReport:
    """Result of a generation. Dicts have an entry for each path that ran.

    name, prompt   of the model; what it was given
    text           what the firmware wrote behind the prompt: path -> text
    tokens, expected  token numbers, path -> list; the reference's
    same_logits    path -> the logits of all steps were the reference's
    cycles         path -> phase -> operation -> clock cycles; "tokens": how many
    rows           path -> count of rows, and of those whose sum was not exact
    result         of the simulation, None: it was a board
    """

    name: str
    prompt: str
    text: dict
    tokens: dict
    expected: list
    same_logits: dict
    cycles: dict
    rows: dict
    result: SimResult | None

    @property
    def different(self):
        """path -> tokens that differ from the reference, those that are missing counted."""
        return {path: sum(a != b for a, b in zip(tokens, self.expected, strict=False))
                + abs(len(tokens) - len(self.expected)) for path, tokens in self.tokens.items()}

    @property
    def ok(self):
        """Each token, each logit and each sum was right, and the firmware found no fault."""
        errors = sum(rows[f"{row}_sum_errors"] for rows in self.rows.values() for row in ROWS)
        exit_code = self.result.exit_code if self.result is not None else 0
        return not (any(self.different.values()) or errors or exit_code) and all(self.same_logits.values())

    def per_token(self, path):
        """operation -> cycles of a token behind the first one; None when there is only one."""
        cycles = self.cycles[path]["text"]
        return {op: cycles[op] / cycles["tokens"] for op in OPERATIONS} if cycles["tokens"] else None

    def json(self):
        return {"workload": "generate", "ok": self.ok, "model": self.name, "prompt": self.prompt, "text": self.text,
                "tokens": self.tokens, "different": self.different, "same_logits": self.same_logits,
                "cycles": self.cycles, "rows": self.rows,
                "exit_code": self.result and self.result.exit_code,
                "simulated_cycles": self.result and self.result.cycles}

    def show(self):
        """Print the report: what was compared, and where the time went."""
        console = Console(highlight=False)
        checks = Table(title=f"{self.name}: {len(self.prompt)} tokens of prompt, {len(self.expected)} generated",
                       show_header=False)
        checks.add_column()
        checks.add_column(justify="right")
        total = len(self.expected) * len(self.tokens)
        checks.add_row("tokens that differ from the NumPy reference", f"{sum(self.different.values())} of {total}")
        checks.add_row("logits of all steps are the reference's", "yes" if all(self.same_logits.values()) else "NO")
        for row, what in zip(ROWS, ("rows of softmax whose sum is not exactly T",
                                    "rows of LayerNorm whose sum is not exactly 0",
                                    "rows of the sampler whose probabilities do not add up to exactly 1"), strict=True):
            count = sum(rows[f"{row}_rows"] for rows in self.rows.values())
            if count:
                checks.add_row(what, f"{sum(rows[f'{row}_sum_errors'] for rows in self.rows.values())} of {count}")
        console.print(checks)
        paths = list(self.cycles)
        console.print(self._time(paths))
        for path in paths:
            prompt = self.cycles[path]["prompt"]
            console.print(f"prompt {PATHS[path]}: {prompt['tokens']} tokens and the first one behind them in "
                          f"{prompt['total']:,} cycles", soft_wrap=True)
        if self.result is not None:
            console.print(describe_run(self.result))
        console.print(f"generate: {'ok' if self.ok else 'FAILED'}")

    def _time(self, paths):
        first = {path: self.per_token(path) or self.cycles[path]["prompt"] for path in paths}
        several = self.per_token(paths[0]) is not None
        table = Table(title="clock cycles of a token, the mean of those behind the first" if several
                      else "clock cycles of the prompt and one token")
        table.add_column("operation")
        for path in paths:
            table.add_column(PATHS[path], justify="right")
            table.add_column("share", justify="right")
        if len(paths) == 2:
            table.add_column("ratio", justify="right")
        for op in OPERATIONS:
            counts = [first[path][op] for path in paths]
            cells = [text for path, count in zip(paths, counts, strict=True)
                     for text in (f"{count:,.0f}", f"{100 * count / first[path]['total']:.1f} %")]
            if op == OPERATIONS[-1]:
                table.add_section()
            table.add_row(LABELS[op], *cells, *([show_ratio(counts[1], counts[0])] if len(paths) == 2 else []))
        return table


class TextObserver(TerminalObserver):
    """Writes the text on stdout as the UART sends it, character by character, in place of the firmware's lines."""

    def __init__(self, progress, quiet=False):
        super().__init__(progress, quiet)
        self.filter = TextFilter()

    def line(self, text):
        """Text that has no line end yet would be lost between lines: chunk() writes it."""

    def chunk(self, data):
        text = self.filter.feed(data)
        if text and not self.quiet:
            self.progress.stop()  # it would be redrawn over the line that is being written
            print(text, end="", flush=True)


class TextFilter:
    """Of what the UART sends, the text between an `@text` record and the next record.

    No token has an `@`: one at the start of a line is a record.
    """

    def __init__(self):
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.start = True     # the next character begins a line
        self.inside = False
        self.record = None    # the record that is being read, None: it is none

    def feed(self, data):
        """The text in the next bytes of the UART."""
        out = []
        for character in self.decoder.decode(data):
            if character == "\r":
                continue
            if self.record is not None:
                if character != "\n":
                    self.record += character
                    continue
                self.inside = re.match(r"@text\b", self.record) is not None
                self.record = None
                self.start = True
                continue
            if character == "@" and self.start:
                self.record = character
                self.inside = False
            elif self.inside:
                out.append(character)
            self.start = character == "\n"
        return "".join(out)


def run_generate(options, gpt, prompt=PROMPT, count=TOKENS, sampler=None, paths=None, observer=None):
    """Let `gpt` (nn.generate.IntegerGPT) write `count` tokens behind the text `prompt`. Returns GenerateReport.

    sampler  nn.generate.Sampler (None: greedy)
    paths    ("accel",), ("cpu",) or both; None: "accel" where the SoC has the core

    ValueError when the prompt, the number of tokens or the sampler fit neither the model nor the core, or when a path
    needs a core that the SoC does not have; else as run_soc, and ProtocolError when a record is missing.
    """
    sampler = sampler or Sampler()
    paths = paths or (("accel",) if options.config is not None else ("cpu",))
    if "accel" in paths and options.config is None:
        raise ValueError("path accel needs the core; good: path cpu on a SoC without it")
    tokens = gpt.encode(prompt)
    gpt.check(tokens, count, sampler, options.config)
    image = write_gpt_image(gpt, tokens, count, sampler)
    # Packed weights take as much as the image, or less; a power of two is what the SoC takes.
    rows = gpt.context * (16 * gpt.dim + 2 * gpt.blocks[0].hidden + 4 * gpt.blocks[0].heads * gpt.context
                          + 6 * len(gpt.blocks) * gpt.dim)
    size = max(options.main_ram_size, 1 << (IMAGE_OFFSET + 2 * len(image) + rows + 2**20 - 1).bit_length())
    console = f"generate {'both' if len(paths) == 2 else paths[0]}\nexit\n"
    result = run_soc(replace(options, console=console, image=image, main_ram_size=size), observer)
    if observer is not None:
        observer.stage("comparing with the NumPy reference")
    expected = generate(gpt, tokens, count, sampler, options.config)
    return compare(gpt, prompt, expected, paths, result.records, result.log, result)


def multiply_accumulates(gpt, prompt, count):
    """Multiply-accumulates of a token behind the first of `count` generated ones, the mean; `prompt`: its tokens."""
    keys = prompt + count / 2   # prompt + 1 to prompt + count - 1 are seen
    return sum(map(weights, gpt.blocks)) + gpt.head.weight.size + 2 * keys * gpt.dim * len(gpt.blocks)


def compare(gpt, prompt, expected, paths, records, log, result=None):
    """GenerateReport of what the firmware sent, as Records and text, against the reference's Generation.

    result  SimResult of a simulation, None for a board
    """
    failed = records.all("error")
    if failed:
        error = failed[0]
        raise ProtocolError(f"the firmware reported error {error.get('code')}: {error.get('text', '')}", log)
    crc = 0
    for logits in expected.logits:
        crc = zlib.crc32(np.asarray(logits, "<i2").tobytes(), crc)
    text, tokens, same, cycles, rows = {}, {}, {}, {}, {}
    for path in paths:
        sent = records.tensors.get((path, "tokens"))
        if sent is None:
            raise ProtocolError(f"the firmware sent no tokens of path {path}", log)
        tokens[path] = sent.ravel().tolist()
        if any(token >= len(gpt.vocabulary) for token in tokens[path]):
            raise ProtocolError(f"the firmware sent token {max(tokens[path])}, {len(gpt.vocabulary) - 1} is the last",
                                log)
        text[path] = gpt.decode(tokens[path])
        same[path] = records.one("logits", path=path)["crc"] == crc
        cycles[path] = {phase: {key: records.one("cycles", path=path, phase=phase)[key]
                                for key in ("tokens", *OPERATIONS)} for phase in PHASES}
        record = records.one("rows", path=path)
        rows[path] = {key: record[key] for row in ROWS for key in (f"{row}_rows", f"{row}_sum_errors")}
    return GenerateReport(gpt.name, prompt, text, tokens, expected.tokens, same, cycles, rows, result)
