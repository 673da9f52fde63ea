"""Projects: a distribution over another one, which lies in a folder, in git, or came with this program."""
