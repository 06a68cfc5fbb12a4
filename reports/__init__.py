"""Tables and figures of finished experiments, made from the store without torch.

Packages import downwards only: ``verify`` > ``report`` > ``page`` > ``figures`` > ``tables`` >
``results``.
"""
