"""Servers, links and mounts that the tests run against; nothing here imports the driver."""
