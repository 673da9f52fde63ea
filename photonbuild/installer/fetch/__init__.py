"""Where kickstarts, files and packages come from: sources, the fetcher, and tdnf for packages."""
