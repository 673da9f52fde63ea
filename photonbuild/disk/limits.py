"""Sizes that the makers of images and the installer both keep to, in bytes.

The standard library only: the installer on the live medium uses this module as well as the makers of images.
"""

from __future__ import annotations

from photonbuild.disk.gpt import MIB

# The smallest that mkfs.xfs(8) makes.
XFS_MINIMUM = 300 * MIB
# What mkfs.btrfs(8) takes for a device with its metadata twice, 109 MiB, and some room.
BTRFS_MINIMUM = 128 * MIB
# Of the ESP where nobody asks for another.
ESP_SIZE = 32 * MIB
