"""Where files are kept for others: a folder, a folder behind ssh, an S3 bucket, a web server."""
