//! What a door says in the API server's place, in the server's form.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::Response;
use serde_json::{Value, json};

/// How a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Of HTTP.
    pub code: u16,
    /// Seconds in the header Retry-After.
    pub retry_after: Option<u64>,
}

impl Refusal {
    /// With a code alone.
    pub fn code(code: u16) -> Self {
        Self { code, retry_after: None }
    }

    /// Too many requests: come again after so many seconds.
    pub fn after(seconds: u64) -> Self {
        Self { code: 429, retry_after: Some(seconds) }
    }

    /// As an answer. An API server that has too much to do answers in plain text, before anything
    /// is looked at; all else is a Status.
    pub(super) fn response(self) -> Response {
        let (kind, text) = if self.code == 429 {
            ("text/plain; charset=utf-8", "Too many requests, please try again later.".to_owned())
        } else {
            ("application/json", self.status().to_string())
        };
        let mut response = Response::builder().status(self.code).header(CONTENT_TYPE, kind);
        if let Some(seconds) = self.retry_after {
            response = response.header(RETRY_AFTER, seconds);
        }
        // Only an impossible code makes it fail.
        response.body(Body::from(text)).unwrap_or_default()
    }

    /// As the last event of a watch.
    pub(super) fn event(self) -> String {
        format!("{}\n", json!({ "type": "ERROR", "object": self.status() }))
    }

    fn status(self) -> Value {
        let (reason, message) = match self.code {
            409 => ("Conflict", "the object has been modified; please apply your changes to it"),
            410 => ("Expired", "too old resource version"),
            503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
            _ => ("InternalError", "an error on the server prevented the request"),
        };
        json!({
            "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
            "code": self.code, "reason": reason, "message": message,
        })
    }
}
