//! Clients of the API server.
//!
//! The controller's tries nothing again by itself: a request that waits for its
//! next try would keep its reconcile's place from other streams, a failing watch
//! from being told, and the Lease from being given up in time. Whoever asked
//! tries again, when the server lets him.

use std::time::Duration;

use futures::FutureExt;
use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use kube::client::{ClientBuilder, DynBody};
use kube::core::Status;
use kube::core::response::StatusDetails;
use kube::{Client, Config};
use tower::BoxError;
use tower::util::MapFutureLayer;

/// A connection is made within this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

type Answer = Response<Box<DynBody>>;

/// A client of the API server that is in the cluster or in KUBECONFIG, whose
/// requests are answered within `timeout` and made once: whoever asks has a
/// loop of his own.
pub async fn once(timeout: Duration) -> anyhow::Result<Client> {
    once_by(Config::infer().await?, timeout)
}

/// The same, of the API server that a configuration names.
pub fn once_by(config: Config, timeout: Duration) -> anyhow::Result<Client> {
    let mut config = patient(config, timeout)?;
    config.default_retry = false;
    let told = MapFutureLayer::new(|answered| as_status(answered).boxed());
    Ok(ClientBuilder::try_from(config)?.with_layer(&told).build())
}

/// One that asks again for minutes when the server has too much to do: for who
/// has nothing else to do meanwhile.
pub async fn persistent(timeout: Duration) -> anyhow::Result<Client> {
    Ok(Client::try_from(patient(Config::infer().await?, timeout)?)?)
}

fn patient(mut config: Config, timeout: Duration) -> anyhow::Result<Config> {
    config.connect_timeout = Some(CONNECT_TIMEOUT.min(timeout));
    // Watches bring a bookmark a minute: longer silence is a dead one.
    config.read_timeout = Some(timeout);
    config.write_timeout = Some(timeout);
    // Else the time that a connection was idle would count.
    config.reset_reader_on_write = true;
    // By it the API server's audit log tells our requests from others'.
    let agent = concat!("millrace-operator/", env!("CARGO_PKG_VERSION"));
    config.headers.push(("user-agent".parse()?, agent.parse()?));
    Ok(config)
}

/// kube keeps of a refusal its Status and no header; and a server that has too
/// much to do answers in plain text, as does a proxy before it. So it becomes a
/// Status that says for how long to stay away.
async fn as_status(
    answered: impl Future<Output = Result<Answer, BoxError>>,
) -> Result<Answer, BoxError> {
    let answer = answered.await?;
    let refuses = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
    let retry_after = answer.headers().get(RETRY_AFTER).and_then(|text| text.to_str().ok());
    let (code, seconds) = (answer.status(), retry_after.and_then(|text| text.parse().ok()));
    let Some(seconds) = seconds.filter(|_| refuses.contains(&code)) else { return Ok(answer) };
    let (parts, body) = answer.into_parts();
    let bytes = body.collect().await?.to_bytes();
    let mut status: Status = serde_json::from_slice(&bytes).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(&bytes);
        Status::failure(text.trim(), code.canonical_reason().unwrap_or_default())
    });
    status.code = code.as_u16();
    let details = status.details.get_or_insert_with(|| StatusDetails {
        name: String::new(),
        group: String::new(),
        kind: String::new(),
        uid: String::new(),
        causes: Vec::new(),
        retry_after_seconds: 0,
    });
    details.retry_after_seconds = seconds;
    let body = Full::from(serde_json::to_vec(&status)?).map_err(BoxError::from);
    Ok(Response::from_parts(parts, Box::new(body) as Box<DynBody>))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn seen(code: u16, retry_after: &str, body: &str) -> String {
        let body = Full::from(body.to_owned()).map_err(BoxError::from);
        let answer = Response::builder()
            .status(code)
            .header(RETRY_AFTER, retry_after)
            .body(Box::new(body) as Box<DynBody>)
            .unwrap();
        let bytes =
            as_status(async { Ok(answer) }).await.unwrap().into_body().collect().await.unwrap();
        String::from_utf8(bytes.to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_refusal_says_for_how_long_in_its_status() {
        let text = seen(429, "7", "Too many requests.\n").await;
        let status: Status = serde_json::from_str(&text).unwrap();
        assert_eq!((status.code, status.message.as_str()), (429, "Too many requests."));
        assert_eq!(status.details.unwrap().retry_after_seconds, 7);

        let given = json!({ "code": 503, "reason": "x", "details": { "name": "keynote" } });
        let text = seen(503, "7", &given.to_string()).await;
        let status: Status = serde_json::from_str(&text).unwrap();
        assert_eq!((status.code, status.reason.as_str()), (503, "x"));
        let details = status.details.unwrap();
        assert_eq!((details.name.as_str(), details.retry_after_seconds), ("keynote", 7));

        // One that asks for nothing a client can count, and one that is none.
        let date = "Fri, 31 Dec 2027 23:59:59 GMT";
        assert_eq!(seen(429, date, "the body").await, "the body");
        assert_eq!(seen(201, "7", "the body").await, "the body");
    }
}
