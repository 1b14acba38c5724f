"""From a log into an index: decoding, progress, the commit loop, what is set apart, what is reported.

Layers, from the bottom: `log` (the port); pure values and dispatch (`decode`, `progress`, `letters`, `metrics`); `report`; the loops
(`tailer`, `aliases`); the Kafka adapters.
"""
