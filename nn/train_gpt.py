# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Train the small character-level GPT that is the default workload.

The model is a pre-norm GPT-2 style transformer (LayerNorm with gamma and beta, eps 1e-5; GELU with erf; learned
positions; causal attention; input and output embeddings tied). The text is the King James Bible, which is in the
public domain, as Debian packages it (`apt-get install bible-kjv bible-kjv-text`), without the verse numbers, one verse
a line. The last 5 % of the characters are held out. Progress, the checkpoint and the training's state are written to
`--work`; the best weights so far are exported as float16 safetensors with `config.json` beside them.

Needs PyTorch (`pip install torch==2.13.0`), which nothing else in the project needs. The command and the result of the
committed weights are in `nn/data/README.md`.
"""

import argparse
import json
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path

DATA = Path(__file__).resolve().parent / "data"
FILES = ("model.safetensors", "config.json", "held_out.txt", "calibration.txt")
HELD_OUT = 0.05  # share of the text, at its end, that is never trained on
LN_EPS = 1e-5
VERSE = re.compile(r"^\S+?\d+:\d+ ")  # "Ge1:1 In the beginning ..." -> "In the beginning ..."


def bible_text():
    """The text of Debian's bible-kjv-text, one verse a line, without references. Raises ValueError if it is missing."""
    try:
        run = subprocess.run(["bible", "-f", "gen1:1-rev22:21"], capture_output=True, text=True, check=True,
                             stdin=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ValueError(f"cannot run Debian's `bible` program ({error}); "
                         "apt-get install bible-kjv bible-kjv-text, or give --text FILE") from None
    return "\n".join(VERSE.sub("", line) for line in run.stdout.splitlines()) + "\n"


def split(text):
    """Text -> (training text, held-out text): the last 5 % of the characters, cut at the end of a line."""
    share = int(len(text) * (1 - HELD_OUT))
    cut = text.find("\n", share) + 1 or share
    return text[:cut], text[cut:]


def write_texts(folder, text):
    """Files of the data folder: held_out.txt, all that was never trained on, and calibration.txt, 16 places of the
    training text, whole verses, for the quantizer."""
    training, held_out = split(text)
    places = [training.find("\n", i * len(training) // 16) + 1 for i in range(16)]
    excerpts = [training[p : training.find("\n", p + 500) + 1] for p in places]
    for name, content in (("held_out.txt", held_out), ("calibration.txt", "".join(excerpts))):
        write_atomically(folder / name, lambda path, content=content: path.write_text(content, encoding="utf-8"))


def build_model(torch, config):
    """The torch twin of `litenorm.nn.gpt.GPT`; parameter names are the tensor names of the checkpoint."""
    nn, functional = torch.nn, torch.nn.functional
    dim, heads = config["hidden_size"], config["num_attention_heads"]

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.ln_1 = nn.LayerNorm(dim, eps=LN_EPS)
            self.qkv = nn.Linear(dim, 3 * dim)
            self.proj = nn.Linear(dim, dim)
            self.ln_2 = nn.LayerNorm(dim, eps=LN_EPS)
            self.fc = nn.Linear(dim, config["intermediate_size"])
            self.out = nn.Linear(config["intermediate_size"], dim)

        def forward(self, x):
            batch, length, _ = x.shape
            q, k, v = self.qkv(self.ln_1(x)).view(batch, length, 3, heads, dim // heads).permute(2, 0, 3, 1, 4)
            a = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.proj(a.transpose(1, 2).reshape(batch, length, dim))
            return x + self.out(functional.gelu(self.fc(self.ln_2(x))))

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.wte = nn.Embedding(config["vocab_size"], dim)
            self.wpe = nn.Embedding(config["max_position_embeddings"], dim)
            self.h = nn.ModuleList(Block() for _ in range(config["num_hidden_layers"]))
            self.ln_f = nn.LayerNorm(dim, eps=LN_EPS)
            for name, p in self.named_parameters():
                if p.dim() == 2:
                    residual = name.endswith(("proj.weight", "out.weight"))
                    std = 0.02 if "w" in name.split(".")[0] else 1 / math.sqrt(p.shape[1])
                    nn.init.normal_(p, std=std / (math.sqrt(2 * config["num_hidden_layers"]) if residual else 1))
                elif name.endswith("bias"):
                    nn.init.zeros_(p)

        def forward(self, ids):
            x = self.wte(ids) + self.wpe.weight[: ids.shape[1]]
            for block in self.h:
                x = block(x)
            return self.ln_f(x) @ self.wte.weight.T

    return GPT()


def held_out_loss(torch, model, ids, context, autocast, windows=None):
    """Mean negative log likelihood (nats per character) over consecutive windows of `context` characters."""
    count = (len(ids) - 1) // context
    starts = range(count) if windows is None else [i * count // windows for i in range(windows)]
    total, n = 0.0, 0
    with torch.no_grad():
        for chunk in [list(starts)[i : i + 32] for i in range(0, len(starts), 32)]:
            x = torch.stack([ids[s * context : s * context + context] for s in chunk])
            y = torch.stack([ids[s * context + 1 : s * context + context + 1] for s in chunk])
            with autocast():
                logits = model(x)
            loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), y.flatten(), reduction="sum")
            total += loss.item()
            n += y.numel()
    return total / n


def write_atomically(path, write):
    """Call write(temporary path), then rename: a killed run leaves the old file or the new one."""
    temporary = path.with_name(path.name + ".tmp")
    write(temporary)
    os.replace(temporary, path)


def export(torch, model, config, folder):
    """Write model.safetensors (float16), config.json to `folder`."""
    from safetensors.torch import save_file

    tensors = {name: p.detach().to(torch.float16).contiguous() for name, p in model.named_parameters()}
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "model.safetensors", lambda path: save_file(tensors, path))
    write_atomically(folder / "config.json", lambda path: path.write_text(json.dumps(config, indent=1) + "\n"))


def train(args):
    counts = (args.steps, args.batch, args.warmup, args.every, args.layers, args.heads, args.context, args.threads)
    if min(counts) < 1 or args.dim % args.heads:
        raise ValueError(f"--dim is {args.dim} and --heads {args.heads}, the smallest count is {min(counts)}; "
                         "good: --heads divides --dim, and every count is 1 or more")
    try:
        import torch
    except ImportError:
        raise ValueError("training needs PyTorch: pip install torch==2.13.0") from None
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    text = Path(args.text).read_text(encoding="utf-8") if args.text else bible_text()
    if len(text) * HELD_OUT < args.context + 2:
        raise ValueError(f"the text has {len(text)} characters; good: at least {round((args.context + 2) / HELD_OUT)}")
    train_text, held_out = split(text)
    vocabulary = sorted(set(text))
    index = {c: i for i, c in enumerate(vocabulary)}
    train_ids, held_out_ids = (torch.tensor([index[c] for c in t]) for t in (train_text, held_out))
    config = {"model_type": "litenorm_gpt", "_name_or_path": "gpt", "hidden_size": args.dim,
              "num_hidden_layers": args.layers, "num_attention_heads": args.heads, "intermediate_size": 4 * args.dim,
              "max_position_embeddings": args.context, "hidden_act": "gelu", "layer_norm_eps": LN_EPS,
              "vocab_size": len(vocabulary), "vocabulary": "".join(vocabulary)}
    model = build_model(torch, config)
    decay = [p for p in model.parameters() if p.dim() == 2]
    rest = [p for p in model.parameters() if p.dim() != 2]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": args.weight_decay},
                                   {"params": rest, "weight_decay": 0.0}], lr=args.lr, betas=(0.9, 0.98))

    def autocast():
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.bf16)

    work = Path(args.work)
    work.mkdir(parents=True, exist_ok=True)
    state_file, step, best = work / "state.pt", 0, math.inf
    if args.resume and state_file.exists():
        state = torch.load(state_file)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step, best = state["step"], state["best"]
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{parameters} parameters, {len(train_ids)} training and {len(held_out_ids)} held-out characters, "
          f"steps {step} to {args.steps}", flush=True)

    # One generator per step: a resumed run draws the windows that an uninterrupted one would have drawn.
    started, first = time.monotonic(), step
    context = args.context
    while step < args.steps:
        generator = torch.Generator().manual_seed(args.seed * 1_000_003 + step)
        starts = torch.randint(len(train_ids) - context - 1, (args.batch,), generator=generator)
        windows = train_ids[starts[:, None] + torch.arange(context + 1)]
        warm = min(1.0, (step + 1) / args.warmup)
        cosine = 0.5 * (1 + math.cos(math.pi * step / args.steps))
        for group in optimizer.param_groups:
            group["lr"] = args.lr * warm * (0.02 + 0.98 * cosine)
        with autocast():
            logits = model(windows[:, :-1])
        loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), windows[:, 1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        elapsed = time.monotonic() - started
        if sys.stdout.isatty():
            left = elapsed / (step - first) * (args.steps - step)
            print(f"\rstep {step}/{args.steps} loss {loss.item():.3f} {elapsed:.0f} s, {left:.0f} s left ", end="",
                  flush=True)
        if step % args.every == 0 or step == args.steps:
            quick = held_out_loss(torch, model, held_out_ids, context, autocast, windows=256)
            print(f"{chr(13) if sys.stdout.isatty() else ''}step {step}: training loss {loss.item():.4f}, "
                  f"held-out loss {quick:.4f} (256 windows), {elapsed:.0f} s", flush=True)
            if quick < best:
                best = quick
                export(torch, model, config, work)
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "best": best}
            write_atomically(state_file, lambda path, state=state: torch.save(state, path))

    from safetensors.torch import load_file
    model.load_state_dict({k: v.float() for k, v in load_file(work / "model.safetensors").items()})
    final = held_out_loss(torch, model, held_out_ids, context, lambda: torch.autocast("cpu", enabled=False))
    print(f"held-out loss of the exported float16 weights, all windows of {context}: {final:.4f} nats per character, "
          f"perplexity {math.exp(final):.3f}, {final / math.log(2):.3f} bits per character")
    write_texts(work, text)
    print(f"weights and texts in {work}; to make them the default workload, copy {', '.join(FILES)} to {DATA}")


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m litenorm.nn.train_gpt", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python -m litenorm.nn.train_gpt --steps 200 --work build/gpt    (a short trial run)")
    parser.add_argument("--text", help="text file to train on (default: the output of Debian's `bible`)")
    parser.add_argument("--work", default="build/gpt", help="folder of checkpoints and weights (default %(default)s)")
    parser.add_argument("--resume", action="store_true", help="go on from the state in --work")
    parser.add_argument("--steps", type=int, default=12000, help="optimizer steps (default %(default)s)")
    parser.add_argument("--batch", type=int, default=16, help="windows per step (default %(default)s)")
    parser.add_argument("--lr", type=float, default=3e-3, help="peak learning rate (default %(default)s)")
    parser.add_argument("--warmup", type=int, default=200, help="steps of warm-up (default %(default)s)")
    parser.add_argument("--weight-decay", type=float, default=0.1, help="AdamW weight decay (default %(default)s)")
    parser.add_argument("--every", type=int, default=500, help="steps between evaluations (default %(default)s)")
    parser.add_argument("--dim", type=int, default=128, help="model width (default %(default)s)")
    parser.add_argument("--layers", type=int, default=3, help="blocks (default %(default)s)")
    parser.add_argument("--heads", type=int, default=4, help="attention heads (default %(default)s)")
    parser.add_argument("--context", type=int, default=128, help="characters per window (default %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default %(default)s)")
    parser.add_argument("--bf16", action="store_true", help="matrix products in bfloat16 (fast on CPUs with AMX)")
    parser.add_argument("--seed", type=int, default=1, help="random seed (default %(default)s)")
    args = parser.parse_args(argv)
    try:
        train(args)
    except (ValueError, OSError) as error:
        print(f"train_gpt: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
