"""The one kind of error that is meant for people: what happened, where, and what to do."""


class StackError(Exception):
    """One clear sentence; ./run prints it and ends with 1."""
