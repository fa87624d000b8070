# SPDX-License-Identifier: Apache-2.0
"""What can go wrong that is not a wrong argument (those are TypeError and ValueError, and name the argument)."""


class DenoiseError(Exception):
    """A denoiser cannot do what it was asked for."""


class DeviceError(DenoiseError):
    """The device asked for cannot be used here; the message says why and what can be used."""
