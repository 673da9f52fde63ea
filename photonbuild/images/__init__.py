"""Images: the root file system, what is around it in each format, signatures and upload commands."""
