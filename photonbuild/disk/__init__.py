"""What image maker and installer share of a disk: partition table, limits, boot loader. Standard library only."""
