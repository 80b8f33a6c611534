"""The edge that programs use: submit, wait, read; one `Ledger` per process is enough.

The modules by duty; a test keeps this list complete:

the whole            ledger, line, tables, belonging, of_attempts
ask and be answered  routes, turns, sending, decisions, questions, ear, news, redis_reads
what comes of it     handle, acted, errors
what callers say     names, moments, who, scheduling, filtering
acts                 execution_acts, retrying, home_acts, schedule_acts, pause_acts, workers
many at once         bulk, bulk_acts, bulk_run, bulk_frame
dead letters         letters, letter_acts, redriving
configuration        applying, declared, content, at_once, registry_now
reads                reading, history, job_history, stored, previewing, waits_for
why                  why_acts, why_job, why_reading, why_late, why_words, why_execution, why_workers
the past             past_acts, as_of, as_of_executions, as_of_pauses, as_of_reading, as_of_rows, diffing
what if              whatif, whatif_tape, whatif_world, whatif_plans, whatif_held, whatif_facts
"""
