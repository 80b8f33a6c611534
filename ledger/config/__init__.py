"""Settings: one frozen object, read from YAML and the environment, passed down and never imported."""

from ledger.config.settings import Settings

__all__ = ["Settings"]
