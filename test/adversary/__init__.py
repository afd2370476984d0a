# SPDX-License-Identifier: MIT
"""What no honest client does, and no healthy network: a peer of bytes, and a proxy with faults."""
