"""Conformance tests that backbones and methods inherit, wherever they are written.

A test class subclasses :class:`BackboneTests` or :class:`MethodTests`, names a registered
component and is collected by pytest::

    class TestMyBackbone(BackboneTests):
        name = "my-backbone"


    class TestMyMethod(MethodTests):
        name = "my-method"
        backbone = "sasrec"
"""

from bench.testing.backbones import BackboneTests, example_items
from bench.testing.methods import MethodTests

__all__ = ["BackboneTests", "MethodTests", "example_items"]
