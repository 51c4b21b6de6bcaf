"""Reads a ``.tflite``: operators, constants and where their bytes are; writes nothing.

The doors are ``schema.read_model``, for whoever locks or describes a file, and
``schema.read_graph``, for whoever computes what it computes. Both give the plain data
of ``views``. The native core's reader (``native/flatbuffer.c``) only finds a constant.
"""
