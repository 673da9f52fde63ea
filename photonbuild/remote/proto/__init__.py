"""Messages and stubs of the Remote Execution API, as `tools/protos` writes them."""
