"""What is simulated: time, processes, the network, Kafka, the store, and the histories that a warehouse sends."""
