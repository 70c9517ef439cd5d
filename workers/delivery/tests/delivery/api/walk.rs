//! Every operation of the document, asked rightly, wrongly and with what
//! nobody should send: each answer is one that the document has.

use std::collections::BTreeMap;

use boon::{Compiler, SchemaIndex, Schemas};
use millrace_delivery::http::api::document;
use millrace_media::id::BroadcastId;
use millrace_platform::tokens::Scope;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::Office;
use crate::support::{Answer, answer};

/// Where the document is for the schemas in it.
const PLACE: &str = "http://document/openapi.json";
/// Of hostile requests.
const SEED: u64 = 20_260_101;
/// Hostile requests to each operation.
const HOSTILE: usize = 25;
/// A token may make 100 requests at once.
const TOKENS: usize = 30;

/// What nobody should send, as it stands in a URL.
const NASTY: [&str; 18] = [
    "",
    "%00",
    "%ff%fe",
    "..",
    "%2e%2e%2f",
    "'%20OR%201=1--",
    "%22",
    "%0d%0aX:%20y",
    "-1",
    "1e309",
    "99999999999999999999",
    "null",
    "{}",
    "[]",
    "NaN",
    "%F0%9F%8E%A5",
    "events.keynote%00",
    "*",
];

struct Walk {
    office: Office,
    document: Value,
    tokens: Vec<String>,
    asked: usize,
    compiler: Compiler,
    schemas: Schemas,
    known: BTreeMap<String, SchemaIndex>,
}

#[derive(Clone)]
struct Operation {
    method: String,
    path: String,
    about: Value,
}

impl Walk {
    async fn begin() -> Self {
        let office = Office::open().await;
        let mut tokens = Vec::new();
        for _ in 0..TOKENS {
            tokens.push(office.world.token(&Scope::ALL, "*").await);
        }
        let document = serde_json::to_value(document::document()).unwrap();
        let mut compiler = Compiler::new();
        compiler.add_resource(PLACE, document.clone()).unwrap();
        let (schemas, known) = (Schemas::new(), BTreeMap::new());
        Self { office, document, tokens, asked: 0, compiler, schemas, known }
    }

    fn operations(&self) -> Vec<Operation> {
        let paths = self.document["paths"].as_object().unwrap();
        let of = |(path, methods): (&String, &Value)| {
            let methods = methods.as_object().unwrap().clone().into_iter();
            let path = path.clone();
            methods.map(move |(method, about)| Operation { method, path: path.clone(), about })
        };
        paths.iter().flat_map(of).collect()
    }

    /// Asks, with the next token where `with` is none.
    async fn ask(
        &mut self,
        operation: &Operation,
        url: &str,
        with: Option<&str>,
        body: Option<String>,
    ) -> Answer {
        self.asked += 1;
        let token = with.unwrap_or(&self.tokens[self.asked % TOKENS]);
        let url = format!("http://{}{url}", self.office.replica.admin);
        let method = operation.method.to_uppercase().parse().unwrap();
        let mut request = self.office.replica.client.request(method, url);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        answer(request).await
    }

    /// The document has this answer.
    fn check(&mut self, operation: &Operation, what: &str, answer: &Answer) {
        let Operation { method, path, about } = operation;
        let told = format!("{method} {path} {what}: {} {}", answer.status, answer.text);
        assert_ne!(answer.status, 500, "{told}");
        let documented = &about["responses"][answer.status.to_string()];
        assert!(documented.is_object(), "not documented: {told}");
        let Some(content) = documented["content"].as_object() else {
            assert!(answer.text.is_empty(), "{told}");
            return;
        };
        let kind = answer.header("content-type");
        assert!(content.contains_key(kind), "of another type, {kind}: {told}");
        let escape = |text: &str| {
            text.replace('~', "~0").replace('/', "~1").replace('{', "%7B").replace('}', "%7D")
        };
        let schema = format!(
            "{PLACE}#/paths/{}/{method}/responses/{}/content/{}/schema",
            escape(path),
            answer.status,
            escape(kind)
        );
        let index = *self.known.entry(schema.clone()).or_insert_with(|| {
            self.compiler
                .compile(&schema, &mut self.schemas)
                .unwrap_or_else(|e| panic!("{schema}: {e:#}"))
        });
        let body = answer.json();
        let valid = self.schemas.validate(&body, index);
        assert!(valid.is_ok(), "{told}: {}", valid.err().unwrap());
    }
}

/// What stands for a name in a path.
fn filled(path: &str, fill: impl Fn(&str) -> String) -> String {
    let mut url = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap();
        url = url + before + &fill(name);
        rest = after;
    }
    url + rest
}

/// A body that is taken, for operations that take one.
fn right_body(operation: &Operation) -> Option<String> {
    operation.about.get("requestBody")?;
    let body = match operation.path.as_str() {
        path if path.ends_with("/rotate") => json!({"overlapSeconds": 60}),
        path if path.ends_with("/keys") => json!({"name": "walk"}),
        _ => json!({"name": "walk", "scopes": ["keys:read"], "streams": ["a.b"]}),
    };
    Some(body.to_string())
}

#[tokio::test]
async fn every_operation_answers_as_the_document_says() {
    let mut walk = Walk::begin().await;
    let mut feed = walk.office.world.feed().await;
    feed.segments(0..2).await;
    let broadcast = BroadcastId(uuid::Uuid::now_v7());
    walk.office.world.tables().begin(&walk.office.world.stream, broadcast).await;
    let key = walk.office.world.tables().spec_key(&walk.office.world.stream).await;
    let right = |name: &str| match name {
        "stream_id" => "events.keynote".to_owned(),
        "broadcast" => broadcast.to_string(),
        "key" => key.to_string(),
        _ => uuid::Uuid::nil().to_string(),
    };
    let mut seen = 0;
    for operation in walk.operations() {
        let url = filled(&operation.path, right);
        let body = right_body(&operation);
        let rightly = walk.ask(&operation, &url, None, body.clone()).await;
        walk.check(&operation, "rightly", &rightly);
        seen += usize::from(rightly.status < 300);

        // Where nothing is said of a token everybody is let in.
        let open = operation.about["security"] == json!([{}]);
        for token in ["", "millrace_wrong", "a.b.c"] {
            let refused = walk.ask(&operation, &url, Some(token), body.clone()).await;
            walk.check(&operation, "without a token", &refused);
            assert_eq!(refused.status == 401, !open, "{} {url}", operation.method);
        }
        let poor = walk.office.world.token(&Scope::ALL, "no.stream").await;
        let refused = walk.ask(&operation, &url, Some(&poor), body).await;
        walk.check(&operation, "without rights", &refused);
        let anybodys =
            open || ["/me", "/v1/qualities", "/streams"].iter().any(|end| url.ends_with(end));
        assert_eq!(refused.status == 403, !anybodys, "{} {url}", operation.method);
    }
    assert!(seen > 12, "only {seen} operations were done");
}

#[tokio::test]
async fn what_nobody_should_send_is_answered_as_the_document_says() {
    let mut walk = Walk::begin().await;
    let mut random = StdRng::seed_from_u64(SEED);
    for operation in walk.operations() {
        for _ in 0..HOSTILE {
            let picks: Vec<String> = (0..8).map(|_| nasty(&mut random)).collect();
            // An empty name is another path.
            let name = |at: usize| Some(picks[at].clone()).filter(|n| !n.is_empty() && n != "..");
            let stream = if random.random() { None } else { name(0) };
            let url = filled(&operation.path, |place| match place {
                "stream_id" => stream.clone().unwrap_or_else(|| "events.keynote".to_owned()),
                _ => name(1).unwrap_or_else(|| "x".to_owned()),
            });
            let queries = ["limit", "after", "namespace", "watching", "points", "from", "to"];
            let which = random.random_range(0..queries.len());
            let url = format!("{url}?{}={}", queries[which], picks[2]);
            let body =
                operation.about.get("requestBody").map(|_| hostile_body(&mut random, &picks));
            let answer = walk.ask(&operation, &url, None, body).await;
            walk.check(&operation, &url, &answer);
        }
    }
}

fn nasty(random: &mut StdRng) -> String {
    if random.random_ratio(1, 4) {
        let length = random.random_range(1..200);
        let bytes = (0..length).map(|_| format!("%{:02x}", random.random::<u8>()));
        return bytes.collect::<Vec<_>>().concat();
    }
    NASTY[random.random_range(0..NASTY.len())].to_owned()
}

fn hostile_body(random: &mut StdRng, picks: &[String]) -> String {
    let values = [
        json!(null),
        json!(-1),
        json!(1e300),
        json!([]),
        json!({}),
        json!(true),
        json!("x".repeat(5_000)),
        json!(picks[3]),
        json!("9999-99-99T99:99:99Z"),
        json!(["", null]),
    ];
    let names = ["name", "broadcaster", "expiresAt", "overlapSeconds", "scopes", "streams", "x"];
    if random.random_ratio(1, 5) {
        return picks.concat();
    }
    let fields = (0..random.random_range(0..5)).map(|_| {
        let name = names[random.random_range(0..names.len())];
        (name.to_owned(), values[random.random_range(0..values.len())].clone())
    });
    Value::Object(fields.collect()).to_string()
}
