"""The results of the lifecycle's functions, and the texts of its errors.

Nothing is done here. The functions that return and raise them are one folder above.
"""
