//! The same promises on a directory and on a real S3 server.

use super::*;
use crate::config::Env;

/// A store of its own at this URL, with what else S3 needs.
fn open(url: &str, more: &[(&str, &str)]) -> Store {
    let settings = more.iter().copied().chain([("OBJECT_STORE_URL", url)]);
    let env = Env::from_pairs(settings);
    let name: String = uuid::Uuid::new_v4().simple().to_string().chars().take(20).collect();
    let installation = Env::from_pairs([("MILLRACE_INSTALLATION", format!("t{name}"))]);
    let installation = Installation::read(&installation).unwrap();
    Store::open(&StoreConfig::read(&env).unwrap(), &installation).unwrap()
}

async fn keeps_its_promises(store: &Store) {
    let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
    assert_eq!(store.get("s/b/x").await.unwrap(), None);

    // Of many who create at once, one does, and its bytes stay.
    let claims = (0..8).map(|n| store.create("s/b/runs/1", Bytes::from(n.to_string())));
    let claims = futures::future::join_all(claims).await;
    let won = |outcome: &Result<Created, StoreError>| matches!(outcome, Ok(Created::Created));
    assert_eq!(claims.iter().filter(|outcome| won(outcome)).count(), 1, "{claims:?}");
    let winner = claims.iter().position(won).unwrap().to_string();
    assert_eq!(store.get("s/b/runs/1").await.unwrap().unwrap(), winner);
    let adopted = store.adopt("s/b/runs/1", bytes("late")).await.unwrap();
    assert_eq!(adopted, Adopted::Theirs(winner.into()));
    assert_eq!(store.adopt("s/b/runs/2", bytes("first")).await.unwrap(), Adopted::Ours);

    store.put("s/b/index/head-1.json", bytes("old")).await.unwrap();
    store.put("s/b/index/head-1.json", bytes("new")).await.unwrap();
    assert_eq!(store.get("s/b/index/head-1.json").await.unwrap(), Some(bytes("new")));
    store.put("s/c/720p/1-1.m4s", bytes("media")).await.unwrap();

    let below = store.list("s/b").await.unwrap();
    assert_eq!(below, ["s/b/index/head-1.json", "s/b/runs/1", "s/b/runs/2"]);
    assert_eq!(store.folders("s").await.unwrap(), ["b", "c"]);
    assert_eq!(store.list("nothing").await.unwrap(), [""; 0]);

    store.delete("s/b/runs/1").await.unwrap();
    store.delete("s/b/runs/1").await.unwrap();
    assert_eq!(store.list("s/b/runs").await.unwrap(), ["s/b/runs/2"]);
}

#[tokio::test]
async fn a_directory_keeps_the_promises() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("file://{}", directory.path().display());
    keeps_its_promises(&open(&url, &[])).await;
}

#[tokio::test]
async fn s3_keeps_the_promises() {
    // tests/run.sh starts the server where it can be built, and says so where it can't.
    let Ok(endpoint) = std::env::var("TEST_S3_ENDPOINT") else { return };
    crate::tls::install_provider();
    let keys = ["TEST_S3_ACCESS_KEY_ID", "TEST_S3_SECRET_ACCESS_KEY"];
    let [id, secret] = keys.map(|name| std::env::var(name).unwrap());
    let more = [
        ("S3_ENDPOINT", endpoint.as_str()),
        ("S3_ACCESS_KEY_ID", &id),
        ("S3_SECRET_ACCESS_KEY", &secret),
    ];
    keeps_its_promises(&open("s3://millrace/media", &more)).await;
}
