"""What the mount shows; knows neither FTP replies nor FUSE."""
