"""The runner: takes the offers of a queue, performs user code and reports. A pipeline of small steps, one module each:

take -> resolve -> gate -> claim -> start -> perform -> settle -> outbox. Source: architecture.md, section 6.

The modules by duty; a test keeps this list complete:

the process          entry, process, edges, connections, lease, orders
the pipeline         runner, attempt, take, resolve, gate, claims, running, perform, settle, outbox, sender
old and late offers  line, belief, known, turned_away, leaving
exclusive attempts   starting, guards, locks, lock_servers, lock_watch
limits               limiting, limits, limited_claims, places, behind_limits
code in a process    in_process, children, child, child_wire, child_submits
what code submits    submits
"""
