"""One machine: QEMU's command line, its jail and control groups, its folder, its start."""
