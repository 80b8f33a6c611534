"""Tables as a fold of the log: followed, rebuilt, verified, read. The folds themselves are in `folds`, the DDL in `migrations`.

The modules by duty; a test keeps this list complete:

what a projection is  projection, builtin, own, known, forms, patches, memory
tables                tables, schedule_tables, columns, schema, table_sets, tables_doc, questions, retention
follow the log        consumer, subscription, following, tail, places, sql_thread
write                 writing, statements, positions, connecting
rebuild               rebuild, building, swapping, sweeping, behind
verify                verify, comparing, stored, differences, one_moment, strangers, touched, base, audit
reads                 reads, querying, paging, cursors, filters, rows, status, heads, history, requested, acting_reads, bulk_reads,
                      load_reads, why_reads, held_reads, schedule_reads, schedule_rows, schedule_past
"""
