"""Read answers: pure functions from bytes to a record, an error, or a salvaged secret.

Nothing here sends or retries a request.
"""
