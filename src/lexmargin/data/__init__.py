"""Labelled samples: files read, content checked, one form of samples and labels."""
