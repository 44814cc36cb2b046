# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""LiteNorm in PyTorch: modules whose integers are the core's, and `swap`, which puts them into a model.

    from litenorm.nn.torch import LiteNormSoftmax, calibrate, swap

    swap(model)                         # softmax, attention, LayerNorm and RMSNorm; one scale a row
    with calibrate(model):              # optional: one scale for each place
        model(**inputs)
"""

try:
    import torch  # noqa: F401
except ImportError:
    raise ImportError("litenorm.nn.torch needs PyTorch: pip install 'litenorm[torch]'") from None

from litenorm.nn.torch.modules import LiteNormLayerNorm, LiteNormRMSNorm, LiteNormSoftmax
from litenorm.nn.torch.swap import Swapped, calibrate, swap

__all__ = ["LiteNormLayerNorm", "LiteNormRMSNorm", "LiteNormSoftmax", "Swapped", "calibrate", "swap"]
