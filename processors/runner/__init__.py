"""The runner: takes the offers of a queue, performs user code and reports. A pipeline of small steps, one module each:

take -> resolve -> gate -> claim -> start -> perform -> settle -> outbox. Source: architecture.md, section 6.
"""
