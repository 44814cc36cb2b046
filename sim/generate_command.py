# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The command `litenorm generate`."""

import argparse
from pathlib import Path

from litenorm.sim import soc_arguments

EXAMPLES = """\
examples:
  litenorm generate --prompt "In the beginning" --tokens 64
  litenorm generate --prompt "And God said" --temperature 0.8 --top-k 8 --seed 3
  litenorm generate --tokens 16 --path both    with the core and with the C twin
  litenorm generate --tokens 8 --no-accel --cpu-variant full
  litenorm generate --cfu                      a third of the cycles
  litenorm generate --perplexity --tokens 1    the integer model beside float32
  litenorm generate --port /dev/ttyUSB1 --firmware litenorm.bin
                                               on a board that is in its BIOS

Greedy unless --temperature, --top-k or --seed is given; the last two alone mean
a temperature of 1. The sampler's probabilities are a row of the exact softmax:
they add up to 1, and nothing is renormalized.
"""

BAUD = 115200
SILENCE = 60.0  # seconds without a byte after which a board's answer is given up: a slow CPU reads the prompt meanwhile

PATHS = {"accel": ("accel",), "cpu": ("cpu",), "both": ("accel", "cpu")}


def add_parser(commands):
    """Add `generate` to the subcommands of argparse."""
    parser = commands.add_parser(
        "generate", help="a small GPT writes text on the simulated SoC", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Run a language model whole in the firmware of the simulated SoC: embeddings,\n"
                    "all layers with keys and values kept, sampler; softmax and LayerNorm on the\n"
                    "core. The text is shown as the UART sends it. Exit 0 when every token and every\n"
                    "logit is that of the NumPy reference, and every sum exact.")
    parser.add_argument("--prompt", metavar="TEXT", help='what the text begins with (default: "In the beginning")')
    parser.add_argument("--tokens", type=int, default=64, metavar="N", help="tokens to generate (default: 64)")
    parser.add_argument("--checkpoint", metavar="DIR", help="folder of litenorm.nn.train_gpt (default: the GPT that "
                                                            "comes along)")
    sampler = parser.add_argument_group("sampler")
    sampler.add_argument("--temperature", type=float, metavar="T",
                         help="divides the logits, 0.01 to 100; 0 is greedy (default: 0)")
    sampler.add_argument("--top-k", type=int, metavar="K", help="only the K largest logits (default: all)")
    sampler.add_argument("--seed", type=int, metavar="S", help="of the random numbers, 0 to 2^32 - 1 (default: 1)")
    board = parser.add_argument_group("a board instead of the simulated SoC")
    board.add_argument("--port", metavar="PORT", help="serial port of the board, or a URL of pyserial's")
    board.add_argument("--baud", type=int, metavar="B", help=f"of the port (default: {BAUD})")
    board.add_argument("--firmware", type=Path, metavar="F.bin",
                       help="load this, and the model, when the board is in its BIOS; without it the board must have "
                            "the model with the same prompt already")
    soc = parser.add_argument_group("SoC")
    soc.add_argument("--path", choices=tuple(PATHS), help="who computes softmax and LayerNorm: accel (the core), cpu "
                                                          "(the C twin), both one after the other (default: accel)")
    soc_arguments.add_soc(soc)
    output = parser.add_argument_group("output and limits")
    output.add_argument("--perplexity", action="store_true",
                        help="also print the perplexity on held-out text, in integers and in float32")
    output.add_argument("--json", type=Path, metavar="F", help="write the results to this file")
    output.add_argument("--quiet", action="store_true", help="do not show the text")
    soc_arguments.add_limits(output)
    parser.set_defaults(run=run)


def sampler_of(args):
    """The nn.generate.Sampler of the arguments."""
    from litenorm.nn.generate import Sampler

    given = [name for name in ("top_k", "seed") if getattr(args, name) is not None]
    temperature = args.temperature if args.temperature is not None else 1.0 if given else 0.0
    if temperature == 0 and given:
        raise ValueError(f"--{given[0].replace('_', '-')} does nothing at temperature 0, which is greedy; good: "
                         "--temperature above 0")
    if args.top_k is not None and args.top_k < 1:
        raise ValueError(f"top-k is {args.top_k}; good: 1 or more candidates")
    return Sampler(temperature, args.top_k or 0, 1 if args.seed is None else args.seed)


def run(args):
    """`litenorm generate`: returns the exit code."""
    from rich.console import Console

    from litenorm.nn import generate as reference
    from litenorm.sim.generate import PROMPT, TextObserver, run_generate
    from litenorm.sim.output import check_output, write_json
    from litenorm.sim.progress import observe

    if args.json is not None:
        check_output(args.json, "a JSON file")
    check_board(args)
    sampler = sampler_of(args)
    options = soc_arguments.sim_options(args)
    if args.no_accel and args.path not in (None, "cpu"):
        raise ValueError(f"--path {args.path} needs the core; good: --path cpu with --no-accel")
    prompt = PROMPT if args.prompt is None else args.prompt
    checkpoint = reference.load_checkpoint(reference.DATA if args.checkpoint is None else args.checkpoint)
    # Before the quantizer's seconds.
    reference.check_request(checkpoint, prompt, args.tokens, sampler, soc_arguments.core_config(args))
    with observe(args.quiet, TextObserver) as observer:
        observer.stage("quantizing the model")
        gpt, checkpoint = reference.load_gpt(args.checkpoint)
        quality = None
        if args.perplexity:
            observer.stage("perplexity of held-out text")
            text = (reference.DATA / "held_out.txt").read_text(encoding="utf-8")
            quality = reference.perplexity(gpt, checkpoint, text)
        if args.port is not None:
            report = run_on_board(args, gpt, prompt, sampler, observer)
        else:
            report = run_generate(options, gpt, prompt, args.tokens, sampler, PATHS.get(args.path), observer)
    report.show()
    if quality is not None:
        Console(highlight=False).print(reference.describe(gpt, quality), soft_wrap=True)
    if args.json is not None:
        data = report.json() | {"temperature": sampler.temperature, "top_k": sampler.top_k, "seed": sampler.seed}
        write_json(args.json, data | ({} if quality is None else {"perplexity": vars(quality)}))
    return 0 if report.ok else 1


def check_board(args):
    """ValueError for options of a board without one, and of the simulated SoC with one."""
    if args.port is None:
        given = [name for name in ("baud", "firmware") if getattr(args, name) is not None]
        if given:
            raise ValueError(f"--{given[0]} belongs to --port: the simulated SoC starts in the firmware")
        return
    if args.baud is not None and args.baud < 1:
        raise ValueError(f"--baud is {args.baud}; good: that of the SoC's UART, {BAUD} as a rule")
    given = [name for name in ("no_accel", "cpu_variant", "cfu", *soc_arguments.LIMITS) if getattr(args, name)]
    given += ["lanes"] if args.lanes != soc_arguments.LANES else []
    if given:
        raise ValueError(f"--{given[0].replace('_', '-')} is of the simulated SoC; good: --port without it")


def run_on_board(args, gpt, prompt, sampler, observer):
    """GenerateReport of a board on a serial port."""
    from litenorm.bench.generate import run_generate
    from litenorm.bench.host import MAIN_RAM, Board, read_firmware
    from litenorm.nn.image import write_gpt_image
    from litenorm.soc.options import IMAGE_OFFSET

    image = write_gpt_image(gpt, gpt.encode(prompt), args.tokens, sampler)
    firmware = None if args.firmware is None else read_firmware(args.firmware)
    with Board(args.port, args.baud or BAUD, SILENCE, firmware, (MAIN_RAM + IMAGE_OFFSET, image), observer.stage,
               observer.chunk) as board:
        return run_generate(board, gpt, prompt, args.tokens, sampler, PATHS.get(args.path), observer)
