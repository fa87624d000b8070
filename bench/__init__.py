# SPDX-License-Identifier: Apache-2.0
"""Measurements of speed, memory and quality: `python -m bench COMMAND` from the repository, with an editable install."""
