"""The command line: the client's calls as commands, one renderer for all answers, one table of exit codes."""
