"""Trains what a config declares."""
