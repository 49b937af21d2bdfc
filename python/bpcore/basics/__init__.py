"""Small tools that know nothing of bpcore: arguments looked at, objects as text, files, Ctrl-C."""
