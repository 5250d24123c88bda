"""Everyday work on a mount, timed: bambufs and rclone on the same server, through the same link, in the same run."""
