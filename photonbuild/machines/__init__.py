"""An image as a machine: drives, QEMU, the clouds played for it, the network around it, the checks that judge it."""
