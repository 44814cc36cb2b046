# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""SoCs with LiteNorm for FPGA boards, one LiteX target script each, and `boards.BOARDS`, which names them.

    python -m litenorm.soc.targets.ulx3s --help

A script takes LiteX's own options and those of `common.parser()`; `--build` calls the FPGA tools by their names, so
they must be on the PATH. `litenorm build BOARD` runs the same scripts with the tools from PyPI and reads their reports.
"""
