"""The pure core: messages, decisions, folds and the chain. No clock, no random, no log, no network, no await."""
