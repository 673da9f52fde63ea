"""Where a publication lies: a folder, a folder behind ssh, an S3 bucket, and, for reading only, a web server."""
