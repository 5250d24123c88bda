"""Many files, big files, many readers, many mounts: how much time and memory that takes."""
