"""The pure core: messages, decisions, folds and the chain. No clock, no random, no log, no network, no await.

The modules by duty; a test keeps this list complete:

the log              chain, wire, writer, fold, ids, bodies, strict_json, exact_json
what should be       definition, registering, registry, registry_draft, pause
an execution         execution, executing, retry, options
a partition          partition, partition_view, partition_draft, draft, repeats, uniqueness, unique_submits, exclusivity,
                     consequences, relay, backlog, backlogs
acts                 request, acts, backfill, controls, bulk, letters, redriving, reread, said, outcome
to workers           offers, orders, workers, limits
when a job fires     schedule, schedule_spec, schedule_text, policy_text, schedule_warnings, engines, cron, cron_text, exclusion, tally,
                     zones, tzif, durations, instants
ticks                tick, policies, due, overlap, ticking, planned, history
snapshots            sealing, snapshot, registry_snapshot
the past             moment, causes, stretches, why, recorded, whatif, auditing, audit_totals, audit_saved
the log elsewhere    cloudevents, archive, homes, growing
errors               refusal, invalid
"""
