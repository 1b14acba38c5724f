"""An installation on Kafka: indexers with verifiers, a replica, and the operator's jobs beside them."""
