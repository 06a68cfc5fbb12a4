"""Tables and figures of finished experiments, made without torch and without any method's code."""
