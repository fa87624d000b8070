# SPDX-License-Identifier: Apache-2.0
"""Spatio-temporal denoising of ray-traced frames: one denoiser object, one call a frame."""

from importlib import import_module as _import_module

try:
    _import_module("._core", __name__)
except ModuleNotFoundError as _missing:
    if _missing.name != f"{__name__}._core":
        raise
    raise ImportError(
        "denoise: the native module denoise._core is missing, because this bare source folder hides the installed "
        "package or the package was not built; an editable install cures both: `pip install --no-build-isolation -e .`"
    ) from None

from . import materials
from .denoiser import Memory, Pipeline, Reblur, Reference, Relax, Result, Sigma
from .devices import Device, devices
from .errors import DenoiseError, DeviceError
from .frame import Camera, Frame, InputInfo, Light
from .materials import compose
from .settings import ReblurSettings, ReferenceSettings, RelaxSettings, SigmaSettings

__all__ = [
    "Camera",
    "DenoiseError",
    "Device",
    "DeviceError",
    "Frame",
    "InputInfo",
    "Light",
    "Memory",
    "Pipeline",
    "Reblur",
    "ReblurSettings",
    "Reference",
    "ReferenceSettings",
    "Relax",
    "RelaxSettings",
    "Result",
    "Sigma",
    "SigmaSettings",
    "compose",
    "devices",
    "materials",
]
