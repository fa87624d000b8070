# SPDX-License-Identifier: Apache-2.0
"""Sequences of frames: the native folder format, what its arrays mean, and denoising a whole sequence of them."""

from .exr import Encoding
from .files import FrameFiles, Results, write_json
from .inspection import inspect, report
from .npz import NpzFrames, write_arrays, write_sequence
from .opening import open_results, open_sequence
from .run import Run, choose, create, denoise_frame, denoise_sequence, fitting, open_outputs, parse_settings
from .sequence import (
    Arrays,
    Sequence,
    SequenceError,
    frame_inputs,
    light_array,
    light_geometry,
    lights_with,
    parse_frames,
)

__all__ = [
    "Arrays",
    "Encoding",
    "FrameFiles",
    "NpzFrames",
    "Results",
    "Run",
    "Sequence",
    "SequenceError",
    "choose",
    "create",
    "denoise_frame",
    "denoise_sequence",
    "fitting",
    "frame_inputs",
    "inspect",
    "light_array",
    "light_geometry",
    "lights_with",
    "open_outputs",
    "open_results",
    "open_sequence",
    "parse_frames",
    "parse_settings",
    "report",
    "write_arrays",
    "write_json",
    "write_sequence",
]
