# SPDX-License-Identifier: Apache-2.0
"""Measures speed, memory and quality: `python -m bench COMMAND` in the repository, with an editable install."""
