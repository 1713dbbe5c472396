"""The discovery-server beside the real Eureka and its clients, which Maven brings: `make conformance-eureka`."""
