"""What came of a build and its images: the record of the last command, a page for a browser, a summary, JUnit XML."""
