//! What the operator asks of the API server, by the server's own log.
