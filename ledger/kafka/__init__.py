"""The edge to Kafka: connections, topics, the log's identity and reading it. Nothing here decides anything."""
