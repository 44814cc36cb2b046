# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Train the small transformer that classifies handwritten digits for `litenorm eval`.

The images are scikit-learn's `load_digits`: 1797 of 8 x 8 pixels with 17 grey levels, the test part of the UCI data set
"Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, 1998). An image is a row of 64 tokens, its pixels.
The model is a pre-norm encoder like the project's GPT without the causal mask; a linear layer reads the mean of its 64
outputs. The images are cut into two parts (nn.digits.CUT), and `--fold` says which is trained on, each image shifted by
up to one pixel. The other is never looked at here, and the weights are those of the last step: nothing is chosen by
what the model does on it. `litenorm eval` cross-validates with classifiers of both folds.

Needs PyTorch and scikit-learn (`pip install torch==2.13.0 scikit-learn==1.9.1`). The command and the result of the
committed weights are in `nn/data/README.md`.
"""

import argparse
import json
import math
import sys
from pathlib import Path

from litenorm.nn.digits import CLASSES, FOLDS, LEVELS, MODEL_TYPE, PIXELS, SIDE, load_digits, split, weights_file
from litenorm.nn.train_gpt import LN_EPS, write_atomically

WARM_UP = 100   # steps


def build_model(torch, config):
    """The torch twin of `nn.digits.load_digits_model`; parameter names are the tensor names of the checkpoint."""
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

        def forward(self, x, drop):
            batch, length, _ = x.shape
            q, k, v = self.qkv(self.ln_1(x)).view(batch, length, 3, heads, dim // heads).permute(2, 0, 3, 1, 4)
            a = functional.scaled_dot_product_attention(q, k, v)
            x = x + drop(self.proj(a.transpose(1, 2).reshape(batch, length, dim)))
            return x + drop(self.out(functional.gelu(self.fc(self.ln_2(x)))))

    class Digits(nn.Module):
        def __init__(self):
            super().__init__()
            self.wte = nn.Embedding(LEVELS, dim)
            self.wpe = nn.Embedding(PIXELS, dim)
            self.h = nn.ModuleList(Block() for _ in range(config["num_hidden_layers"]))
            self.ln_f = nn.LayerNorm(dim, eps=LN_EPS)
            self.classifier = nn.Linear(dim, CLASSES)
            for name, p in self.named_parameters():
                if p.dim() == 2:
                    nn.init.normal_(p, std=0.1 if name.startswith("w") else 1 / math.sqrt(p.shape[1]))
                elif name.endswith("bias"):
                    nn.init.zeros_(p)

        def forward(self, ids, drop=lambda x: x):
            x = self.wte(ids) + self.wpe.weight
            for block in self.h:
                x = block(x, drop)
            return self.classifier(self.ln_f(x).mean(dim=1))

    return Digits()


def shifted(torch, images, generator):
    """Each image [n, 64] shifted by -1, 0 or 1 pixel in both directions, zeros coming in."""
    padded = torch.nn.functional.pad(images.view(-1, SIDE, SIDE), (1, 1, 1, 1))
    n = len(images)
    across, down = (torch.randint(3, (n, 1, 1), generator=generator) for _ in range(2))
    index = torch.arange(SIDE)
    return padded[torch.arange(n)[:, None, None], index[:, None] + down, index + across].view(n, PIXELS)


def train(args):
    if min(args.epochs, args.batch, args.layers, args.heads, args.threads) < 1 or args.dim % args.heads:
        raise ValueError(f"--dim is {args.dim} and --heads {args.heads}; good: --heads divides --dim, all 1 or more")
    try:
        import torch
        from safetensors.torch import save_file
    except ImportError:
        raise ValueError("training needs PyTorch: pip install torch==2.13.0") from None
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    generator = torch.Generator().manual_seed(args.seed)
    training, _ = split(args.fold)
    images, labels = (torch.tensor(values[training]) for values in load_digits())
    config = {"model_type": MODEL_TYPE, "_name_or_path": "digits", "hidden_size": args.dim,
              "num_hidden_layers": args.layers, "num_attention_heads": args.heads, "intermediate_size": 2 * args.dim,
              "hidden_act": "gelu", "layer_norm_eps": LN_EPS}
    model = build_model(torch, config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, betas=(0.9, 0.98), weight_decay=0.05)
    steps = args.epochs * (len(images) // args.batch)
    step = 0

    def drop(x):
        return torch.nn.functional.dropout(x, args.dropout)

    for epoch in range(args.epochs):
        total = 0.0
        for chosen in torch.randperm(len(images), generator=generator).split(args.batch):
            if len(chosen) < args.batch:
                continue
            cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
            for group in optimizer.param_groups:
                group["lr"] = args.lr * min(1.0, (step + 1) / WARM_UP) * (0.01 + 0.99 * cosine)
            logits = model(shifted(torch, images[chosen], generator), drop)
            loss = torch.nn.functional.cross_entropy(logits, labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1
            total += loss.item()
        if (epoch + 1) % args.every == 0 or epoch + 1 == args.epochs:
            print(f"epoch {epoch + 1}/{args.epochs}: loss {total / (len(images) // args.batch):.4f}", flush=True)
    with torch.no_grad():
        correct = (model(images).argmax(dim=1) == labels).sum().item()
    print(f"{sum(p.numel() for p in model.parameters())} parameters; {correct} of the {len(images)} training images "
          "are classified correctly")
    folder = Path(args.work)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: p.detach().to(torch.float16).contiguous() for name, p in model.named_parameters()}
    write_atomically(weights_file(args.fold, args.seed, folder), lambda path: save_file(tensors, path))
    write_atomically(folder / "config.json", lambda path: path.write_text(json.dumps(config, indent=1) + "\n"))
    print(f"weights in {folder}")


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m litenorm.nn.train_digits", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python -m litenorm.nn.train_digits --epochs 5    (a short trial run)")
    parser.add_argument("--work", default="build/digits", help="folder of the weights (default %(default)s)")
    parser.add_argument("--fold", type=int, choices=FOLDS, default=0,
                        help="0: train on the first part, 1: on the second (default %(default)s)")
    parser.add_argument("--epochs", type=int, default=200, help="passes over the images (default %(default)s)")
    parser.add_argument("--batch", type=int, default=32, help="images per step (default %(default)s)")
    parser.add_argument("--lr", type=float, default=3e-3, help="peak learning rate (default %(default)s)")
    parser.add_argument("--dropout", type=float, default=0.1, help="of the branches (default %(default)s)")
    parser.add_argument("--every", type=int, default=10, help="epochs between lines of progress (default %(default)s)")
    parser.add_argument("--dim", type=int, default=32, help="model width (default %(default)s)")
    parser.add_argument("--layers", type=int, default=2, help="blocks (default %(default)s)")
    parser.add_argument("--heads", type=int, default=4, help="attention heads (default %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="random seed (default %(default)s)")
    args = parser.parse_args(argv)
    try:
        train(args)
    except (ValueError, OSError) as error:
        print(f"train_digits: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
