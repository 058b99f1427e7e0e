"""Runs the daemon among real services and judges, from outside, what it did with the messages.

One module for each thing: Broker, Store and Bridge are processes that can be stopped, killed and
started again; Publisher sends and knows what the broker took; Judge knows what must be in the
bucket. Nothing in here knows how the daemon works inside.
"""
