"""Faults on purpose: killed servers, full disks, stepping clocks; a package, so that its file names are its own."""
