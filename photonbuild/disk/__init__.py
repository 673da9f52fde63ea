"""What image maker and installer share of a disk: partition table and boot loader. Standard library only."""
