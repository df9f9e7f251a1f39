"""What a journal survives: kills at every system call, power cuts, failing disks, files that change under a server."""
