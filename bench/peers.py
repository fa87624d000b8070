# SPDX-License-Identifier: Apache-2.0
"""What others publish, or what we measured of them, as facts to hold our own figures against."""

from __future__ import annotations

from dataclasses import dataclass

from .report import show_table


@dataclass(frozen=True)
class Peer:
    """A figure of another denoiser. Bytes are the least that a frame moves: each touched texel read or written once."""

    name: str
    size: tuple[int, int]
    device: str
    ms: float  # wall time on a GPU; as `kind` says on a CPU
    kind: str
    source: str
    bytes_per_pixel: float | None = None
    memory_mib: float | None = None  # its own images, without the caller's

    @property
    def ns_per_pixel(self) -> float:
        return self.ms * 1e6 / (self.size[0] * self.size[1])


_QHD = (2560, 1440)
_NRD = "NRD's README: 1440p, defaults, 3x3 reconstruction; bytes counted by us from its texture formats"
_LAVAPIPE = "measured by us: NRD 4.17.4's own shaders on a software Vulkan device"
_OIDN = "measured by us, one image"

PEERS = (
    Peer("NRD REBLUR diffuse+specular", _QHD, "RTX 4080", 2.55, "wall", _NRD, 390, 262.56),
    Peer("NRD REBLUR diffuse+specular SH", _QHD, "RTX 4080", 3.40, "wall", _NRD, None, 412.56),
    Peer("NRD RELAX diffuse+specular", _QHD, "RTX 4080", 3.25, "wall", _NRD, 506, 300.06),
    Peer("NRD RELAX diffuse+specular SH", _QHD, "RTX 4080", 4.80, "wall", _NRD, 842, 540.06),
    Peer("NRD SIGMA shadow", _QHD, "RTX 4080", 0.40, "wall", _NRD, 68, 56.38),
    Peer("NRD SIGMA translucent shadow", _QHD, "RTX 4080", 0.45, "wall", _NRD, 100, 90.12),
    Peer("NRD REBLUR diffuse+specular", (320, 180), "2 CPU cores", 146, "CPU", _LAVAPIPE),
    Peer("NRD RELAX diffuse+specular", (320, 180), "2 CPU cores", 176, "CPU", _LAVAPIPE),
    Peer("NRD SIGMA shadow", (320, 180), "2 CPU cores", 37, "CPU", _LAVAPIPE),
    Peer("Intel OIDN, fast", (960, 540), "2 CPU cores", 900, "wall", _OIDN),
    Peer("Intel OIDN, high", (320, 180), "2 CPU cores", 250, "wall", _OIDN + "; 0.2 to 0.3 s"),
)


def show() -> None:
    """Prints all of them."""
    rows = [
        (
            peer.name,
            f"{peer.size[0]}x{peer.size[1]}",
            peer.device,
            f"{peer.ms:g} {peer.kind}",
            f"{peer.ns_per_pixel:.2f}",
            "" if peer.bytes_per_pixel is None else f"{peer.bytes_per_pixel:g}",
            "" if peer.memory_mib is None else f"{peer.memory_mib:g}",
            peer.source,
        )
        for peer in PEERS
    ]
    show_table(("others", "size", "on", "ms", "ns/px", "B/px", "MiB", "source"), rows)
