//! GraphQL over HTTP and WebSocket, authentication, health.
