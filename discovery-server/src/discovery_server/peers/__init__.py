"""Other servers: replicas of this registry, real Eureka servers, the registries of other regions."""
