"""Tests of the road from hearing of bambufs to a printer in the file manager."""
