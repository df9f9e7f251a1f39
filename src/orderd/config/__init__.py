"""What a person may set: read from flags, environment and file, checked as a whole, every value with its origin."""

from orderd.config.load import load
from orderd.config.problems import Problem, SettingsError
from orderd.config.settings import AccountSettings, BrokerName, LogLevel, RetentionSettings, RiskSettings, Settings

__all__ = [
    "AccountSettings",
    "BrokerName",
    "LogLevel",
    "Problem",
    "RetentionSettings",
    "RiskSettings",
    "Settings",
    "SettingsError",
    "load",
]
