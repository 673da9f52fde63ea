"""An image as a machine: its drives, QEMU, metadata services of clouds, a network to reach, and what checks it."""
