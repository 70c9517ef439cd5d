//! What the API changes.

use millrace_media::id::{BroadcastId, PublishKey};
use millrace_platform::tokens::Scope;
use serde_json::{Value, json};

use super::Office;
use crate::support::{Answer, answer, until};

impl Office {
    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.send_as(&self.token, method, path, body).await
    }

    async fn send_as(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        let url = format!("http://{}/api/v1{path}", self.replica.admin);
        let request = self.replica.client.request(method.parse().unwrap(), url).bearer_auth(token);
        answer(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
    }
}

const KEYS: &str = "/streams/events.keynote/keys";

#[tokio::test]
async fn a_key_is_made_rotated_and_revoked_and_seen_when_it_is_made() {
    let office = Office::open().await;
    let wanted =
        json!({"name": "studio", "broadcaster": "acme", "expiresAt": "2099-01-01T00:00:00Z"});
    let made = office.send("POST", KEYS, Some(wanted)).await;
    assert_eq!((made.status, made.header("cache-control")), (201, "no-store"), "{}", made.text);
    let made = made.json();
    let key: PublishKey = made["key"].as_str().unwrap().parse().unwrap();
    assert_eq!(
        (&made["id"], &made["expiresAt"]),
        (&json!(key.id()), &json!("2099-01-01T00:00:00.000Z"))
    );

    let path = format!("{KEYS}/{}/rotate", key.id());
    let next = office.send("POST", &path, Some(json!({"overlapSeconds": 3600}))).await;
    assert_eq!(next.status, 201, "{}", next.text);
    let next: PublishKey = next.json()["key"].as_str().unwrap().parse().unwrap();

    let path = format!("{KEYS}/{}", key.id());
    assert_eq!(office.send("DELETE", &path, None).await.status, 204);
    assert_eq!(office.send("DELETE", &path, None).await.status, 204);
    let listed = office.get(KEYS).await;
    assert!(!listed.text.contains(next.secret()) && !listed.text.contains(key.secret()));
    let listed = listed.json();
    let of = |name: &str| -> Vec<Value> {
        listed["items"].as_array().unwrap().iter().map(|item| item[name].clone()).collect()
    };
    assert_eq!(of("id"), [json!(next.id()), json!(key.id())]);
    assert_eq!(of("active"), [json!(true), json!(false)]);
    assert_eq!(of("name"), [json!("studio"), json!("studio")]);
    assert!(of("revokedAt")[0].is_null() && of("revokedAt")[1].is_string());
    let over = office.send("POST", &format!("{path}/rotate"), Some(json!({}))).await;
    assert_eq!(over.status, 409, "{}", over.text);
}

#[tokio::test]
async fn a_key_of_the_spec_is_left_to_the_spec() {
    let office = Office::open().await;
    let id = office.world.tables().spec_key(&office.world.stream).await;
    for (method, path, body) in [
        ("DELETE", format!("{KEYS}/{id}"), None),
        ("POST", format!("{KEYS}/{id}/rotate"), Some(json!({}))),
    ] {
        let refused = office.send(method, &path, body).await;
        assert_eq!(refused.status, 409, "{}", refused.text);
        assert!(refused.text.contains("spec.keys"), "{}", refused.text);
    }
}

#[tokio::test]
async fn a_token_makes_none_that_may_more_and_is_seen_once() {
    let office = Office::open().await;
    let body = |scopes: &[&str]| Some(json!({"name": "ci", "scopes": scopes, "streams": ["a.*"]}));
    let made = office.send("POST", "/tokens", body(&["streams:read"])).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let (id, token) = (made.json()["id"].clone(), made.json()["token"].clone());
    let token = token.as_str().unwrap();
    let me = office.replica.ask("/api/v1/me", token).await.json();
    assert_eq!((&me["scopes"], &me["streams"]), (&json!(["streams:read"]), &json!(["a.*"])));
    let listed = office.get("/tokens").await;
    assert!(listed.text.contains(id.as_str().unwrap()) && !listed.text.contains(token));

    let few = office.world.token(&[Scope::TokensWrite], "*").await;
    assert_eq!(office.send_as(&few, "POST", "/tokens", body(&["keys:read"])).await.status, 403);
    assert_eq!(office.send_as(&few, "POST", "/tokens", body(&["tokens:write"])).await.status, 201);
    let narrow = office.world.token(&Scope::ALL, "a.*").await;
    assert_eq!(office.send_as(&narrow, "POST", "/tokens", body(&["keys:read"])).await.status, 403);

    let lasting = |until: Option<&str>| {
        Some(
            json!({"name": "ci", "scopes": ["tokens:write"], "streams": ["*"], "expiresAt": until}),
        )
    };
    let made = office.send("POST", "/tokens", lasting(Some("2099-01-01T00:00:00.000Z"))).await;
    let mortal = made.json()["token"].as_str().unwrap().to_owned();
    for (until, status) in [
        (None, 400),
        (Some("2099-01-01T00:00:01.000Z"), 400),
        (Some("2099-01-01T00:00:00.000Z"), 201),
    ] {
        let made = office.send_as(&mortal, "POST", "/tokens", lasting(until)).await;
        assert_eq!(made.status, status, "{until:?} {}", made.text);
    }

    let path = format!("/tokens/{}", id.as_str().unwrap());
    assert_eq!(office.send("DELETE", &path, None).await.status, 204);
    assert_eq!(office.replica.ask("/api/v1/me", token).await.status, 401);
}

#[tokio::test]
async fn what_is_over_or_not_there_can_not_be_ended() {
    let office = Office::open().await;
    let broadcast = BroadcastId(uuid::Uuid::now_v7());
    let path = format!("/streams/events.keynote/broadcasts/{broadcast}/end");
    assert_eq!(office.send("POST", &path, None).await.status, 404);
    office.world.tables().begin(&office.world.stream, broadcast).await;
    let refused = office.send("POST", &path, None).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert!(refused.text.contains("KAFKA_BROKERS"), "{}", refused.text);
    office.world.tables().fail(broadcast).await;
    assert_eq!(office.send("POST", &path, None).await.status, 409);
}

#[tokio::test]
async fn bodies_that_are_none_are_refused() {
    let office = Office::open().await;
    let url = format!("http://{}/api/v1{KEYS}", office.replica.admin);
    for (body, kind, status) in [
        ("{", "application/json", 400),
        ("{}", "application/json", 400),
        ("{}", "text/plain", 415),
        (r#"{"name": ""}"#, "application/json", 400),
        (r#"{"name": "a", "expiresAt": "2000-01-01T00:00:00Z"}"#, "application/json", 400),
        (r#"{"name": "a", "other": 1}"#, "application/json", 400),
        (&" ".repeat(20_000), "application/json", 413),
    ] {
        let request = office.replica.client.post(&url).bearer_auth(&office.token);
        let request = request.header("content-type", kind).body(body.to_owned());
        let answer = answer(request).await;
        assert_eq!(answer.status, status, "{body:.40}: {}", answer.text);
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
}

#[tokio::test]
async fn a_viewer_joins_stays_and_leaves_by_rest() {
    let office = Office::open().await;
    let _feed = office.world.feed().await;
    let base = format!("http://{}/api/v1/streams/events.keynote/sessions", office.replica.viewers);
    let client = &office.replica.client;
    let joined = answer(client.post(&base)).await;
    assert_eq!(joined.status, 201, "{}", joined.text);
    let url = format!("{base}/{}", joined.json()["session"].as_str().unwrap());
    let figures = json!({"rendition": "720p", "stalls": 2, "watchMs": 100});
    assert_eq!(answer(client.put(&url).json(&figures)).await.status, 204);
    let sessions = "/streams/events.keynote/sessions";
    let watching = async || office.read(&format!("{sessions}?watching=true")).await;
    until(async || watching().await["items"][0]["stalls"] == 2).await;
    assert_eq!(watching().await["items"][0]["rendition"], "720p");
    assert_eq!(answer(client.delete(&url)).await.status, 204);
    until(async || watching().await["items"] == json!([])).await;
    assert_eq!(answer(client.put(format!("{base}/x"))).await.status, 400);
    let unknown = base.replace("keynote", "other");
    assert_eq!(answer(client.post(unknown)).await.status, 404);
}
