"""Tables and figures of finished cells, made without torch and without any method's code."""
