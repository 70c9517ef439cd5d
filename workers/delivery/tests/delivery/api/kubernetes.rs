//! Tokens of Kubernetes, by a real API server.

use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::{Client, Config};
use millrace_harness::cluster::{Account, Cluster, Namespace};
use millrace_platform::tokens::Scope;
use serde_json::json;

use crate::support::{Replica, World};

/// Two namespaces, one with the stream that is published, and a replica that
/// may review tokens.
struct Town {
    cluster: Cluster,
    here: Namespace,
    there: Namespace,
    world: World,
    delivery: Client,
    replica: Replica,
}

/// As the chart has it: charts/millrace/templates/delivery-rbac.yaml.
fn reviews() -> Vec<PolicyRule> {
    let rule = |group: &str, resource: &str| PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        verbs: vec!["create".to_owned()],
        ..PolicyRule::default()
    };
    vec![
        rule("authentication.k8s.io", "tokenreviews"),
        rule("authorization.k8s.io", "subjectaccessreviews"),
    ]
}

fn may(verbs: &[&str]) -> Vec<PolicyRule> {
    vec![PolicyRule {
        api_groups: Some(vec!["millrace.dev".to_owned()]),
        resources: Some(vec!["livestreams".to_owned()]),
        verbs: verbs.iter().map(ToString::to_string).collect(),
        ..PolicyRule::default()
    }]
}

impl Town {
    async fn new() -> Option<Self> {
        let cluster = Cluster::shared().await.unwrap()?;
        let here = cluster.namespace("here").await.unwrap();
        let there = cluster.namespace("there").await.unwrap();
        let delivery = cluster.account(here.name(), "delivery").await.unwrap();
        delivery.grant_everywhere(reviews()).await.unwrap();
        let world = World::with_postgres().await;
        let delivery = delivery.client();
        let settings = world.settings(world.redis_url());
        let replica = world.replica_beside(settings, Some(delivery.clone())).await;
        Some(Self { cluster, here, there, world, delivery, replica })
    }

    async fn account(&self, name: &str) -> Account {
        self.cluster.account(self.here.name(), name).await.unwrap()
    }

    /// The status of what each of these paths answers.
    async fn assert(&self, token: &str, expected: &[(&str, u16)]) {
        let (here, there) = (self.here.name(), self.there.name());
        for (path, status) in expected {
            let path = path.replace("HERE", here).replace("OTHER", there);
            let answer = self.replica.ask(&format!("/api/v1{path}"), token).await;
            assert_eq!(answer.status, *status, "{path}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_service_account_may_what_its_roles_say() {
    let Some(town) = Town::new().await else { return };
    let reader = town.account("reader").await;
    reader.grant_everywhere(may(&["get", "list"])).await.unwrap();
    let everywhere = [
        ("/streams", 200),
        ("/streams?namespace=OTHER", 200),
        ("/streams/HERE.keynote", 200),
        ("/streams/HERE.keynote/keys", 200),
        ("/qualities", 200),
        ("/tokens", 403),
    ];
    town.assert(reader.token(), &everywhere).await;
    let me = town.replica.ask("/api/v1/me", reader.token()).await.json();
    assert_eq!(me["subject"], json!(reader.user()));
    assert_eq!((&me["kind"], &me["streams"]), (&json!("kubernetes"), &json!(null)));

    let local = town.account("local").await;
    local.grant_in(town.here.name(), may(&["get", "list"])).await.unwrap();
    let in_one = [
        ("/streams", 403),
        ("/streams?namespace=HERE", 200),
        ("/streams?namespace=OTHER", 403),
        ("/streams/HERE.keynote/sessions", 200),
        ("/streams/OTHER.keynote", 403),
    ];
    town.assert(local.token(), &in_one).await;

    let nobody = town.account("nobody").await;
    let nothing = [
        ("/me", 200),
        ("/streams", 403),
        ("/streams?namespace=HERE", 403),
        ("/streams/HERE.keynote", 403),
        ("/streams/HERE.keynote/keys", 403),
    ];
    town.assert(nobody.token(), &nothing).await;
}

#[tokio::test]
async fn who_may_update_a_livestream_may_make_its_keys_and_no_others() {
    let Some(town) = Town::new().await else { return };
    let editor = town.account("editor").await;
    editor.grant_in(town.here.name(), may(&["get", "update"])).await.unwrap();
    for (namespace, status) in [(town.here.name(), 201), (town.there.name(), 403)] {
        let path = format!("/api/v1/streams/{namespace}.keynote/keys");
        let url = format!("http://{}{path}", town.replica.admin);
        let request = town.replica.client.post(url).bearer_auth(editor.token());
        let made = crate::support::answer(request.json(&json!({"name": "main"}))).await;
        assert_eq!(made.status, status, "{}", made.text);
    }
}

#[tokio::test]
async fn a_token_that_the_api_server_does_not_take_is_refused() {
    let Some(town) = Town::new().await else { return };
    let somebody = town.account("somebody").await;
    // A signature is more than its last letter.
    let (claims, signature) = somebody.token().rsplit_once('.').unwrap();
    let turned: String = signature.chars().rev().collect();
    let forged = format!("{claims}.{turned}");
    town.assert(&forged, &[("/me", 401), ("/streams", 401)]).await;
    town.assert(somebody.token(), &[("/me", 200)]).await;
}

#[tokio::test]
async fn with_audiences_a_token_must_be_for_one_of_them() {
    let Some(town) = Town::new().await else { return };
    let mut settings = town.world.settings(town.world.redis_url());
    settings.api.audiences = vec!["millrace".to_owned()];
    let replica = town.world.replica_beside(settings, Some(town.delivery.clone())).await;
    let somebody = town.account("somebody").await;
    let for_us = somebody.token_for("millrace").await.unwrap();
    assert_eq!(replica.ask("/api/v1/me", &for_us).await.status, 200);
    assert_eq!(replica.ask("/api/v1/me", somebody.token()).await.status, 401);
    town.assert(&for_us, &[("/me", 401)]).await;
}

#[tokio::test]
async fn while_the_api_server_is_away_its_tokens_wait_and_ours_go_on() {
    let world = World::with_postgres().await;
    let ours = world.token(&[Scope::StreamsRead], "*").await;
    // Nobody listens there.
    let mut config = Config::new("http://127.0.0.1:1".parse().unwrap());
    config.default_retry = false;
    let client = Client::try_from(config).unwrap();
    let replica = world.replica_beside(world.settings(world.redis_url()), Some(client)).await;
    let refused = replica.ask("/api/v1/me", "aGVhZA.Y2xhaW1z.c2ln").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"), "{}", refused.text);
    assert_eq!(replica.ask("/api/v1/me", &ours).await.status, 200);
}
