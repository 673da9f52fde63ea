"""Where kickstarts, files and packages come from: sources, the fetcher, repositories and the choice from them."""
