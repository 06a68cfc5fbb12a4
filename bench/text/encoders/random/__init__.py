"""A random vector for each text: an encoder without any meaning."""

from bench.components import EncoderEntry

ENCODER = EncoderEntry(
    name="random",
    title="Random vectors",
    summary="a fixed random direction for each distinct text; a control",
    config="bench.text.encoders.random.config:RandomConfig",
    model="bench.text.encoders.random.model:RandomEncoder",
    citation="A control of this harness.",
)
