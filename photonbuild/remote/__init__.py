"""Remote Execution API v2, the client's side: blobs, the action cache, actions. Knows nothing of packages."""
