"""A pure model of the intent protocol: no I/O, no threads, no clock; every step of every actor is a transition.

`conditions` names what the protocol demands, `world` holds everything and checks it, `machine` lets hypothesis choose the order.
"""
