# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Text generation on a board, over its serial port: what `litenorm generate --port` does."""

import math
import zlib

from litenorm.bench.board import information
from litenorm.bench.host import CHECKED, BoardError
from litenorm.nn.generate import Sampler, generate
from litenorm.nn.image import CHECKED_FROM, write_gpt_image
from litenorm.sim.errors import ProtocolError
from litenorm.sim.generate import compare


def run_generate(board, gpt, prompt, count, sampler=None, paths=None, observer=None):
    """Let `gpt` write on a bench.host.Board that has its image. Returns sim.generate.GenerateReport.

    The other arguments are those of sim.generate.run_generate. BoardError when the board has another image, or none, or
    no core for path accel.
    """
    sampler = sampler or Sampler()
    tokens = gpt.encode(prompt)
    image = write_gpt_image(gpt, tokens, count, sampler)
    crc = zlib.crc32(image[CHECKED_FROM:])
    _, info = information(board)
    paths = paths or (("accel",) if info["core"] else ("cpu",))
    if "accel" in paths and not info["core"]:
        raise BoardError("path accel needs the core, which this board does not have; good: --path cpu")
    expected = generate(gpt, tokens, count, sampler)
    if observer is not None:
        observer.stage("generating")

    def understand(text, records):
        failed = records.all("error")
        if failed:
            return str(failed[0].get("text", "")).replace("_", " ")
        for path in paths:
            if records.one("generate", path=path)["image"] != crc:
                return "the model in the board's memory is another one, or has another prompt"
        return compare(gpt, prompt, expected, paths, records, text)

    try:
        report = board.ask(f"generate {'both' if len(paths) == 2 else paths[0]}", understand, CHECKED, math.inf)
    except ProtocolError as error:
        raise BoardError(str(error)) from None
    if isinstance(report, str):
        raise BoardError(f"{report}: reset the board, so that it is in its BIOS, and give --firmware")
    return report
