//! Publish keys: the Secret is the truth.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use millrace_media::id::{KeyId, PublishKey};
use millrace_operator::reconcile::build::publish_keys_secret::{
    NamedKey, PreviousKey, StreamKeys, build, read,
};
use millrace_operator::reconcile::external::{Reason, keys, registry};
use millrace_operator::reconcile::publish_keys::desired;
use millrace_platform::keys::{Announcements, Hasher, Heard};
use millrace_platform::postgres::keys::{KeySource, NewKey};

use crate::support::{PATIENCE, World, key, one, stream};

async fn listen(world: &World) -> Announcements {
    let mut announcements = Announcements::new(world.verdicts(), &world.installation);
    assert_eq!(hear(&mut announcements).await, Heard::Listening);
    announcements
}

async fn hear(announcements: &mut Announcements) -> Heard {
    tokio::time::timeout(PATIENCE, announcements.next()).await.expect("nothing is heard")
}

#[tokio::test]
async fn a_key_of_the_secret_gets_a_row_that_knows_it_and_keeps_it() {
    let world = World::new();
    let stream = stream("{ broadcaster: acme }");
    let main = key();
    let done = keys::follow(&world.outside, &stream, &one(&main)).await.unwrap();
    assert_eq!(done.stored, [main.current.id().clone()]);
    let rows = world.rows().await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].key.broadcaster, "acme");
    assert!(Hasher::default().verify(&main.current, &rows[0].key.hash).await.unwrap());

    let written = world.written().await;
    for outside in [world.outside.clone(), world.restarted()] {
        assert!(keys::follow(&outside, &stream, &one(&main)).await.unwrap().is_unchanged());
    }
    assert_eq!(world.written().await, written, "nothing was written again");
}

#[tokio::test]
async fn a_rotated_key_stays_good_for_its_overlap_and_a_lost_one_is_revoked_and_told() {
    let world = World::new();
    let (outside, stream) = (&world.outside, stream("{ broadcaster: acme }"));
    let old = key();
    keys::follow(outside, &stream, &one(&old)).await.unwrap();

    let previous = PreviousKey { key: old.current.clone(), until: 4_000_000_000 };
    let rotated = NamedKey { rotation: 1, previous: Some(previous), ..key() };
    keys::follow(outside, &stream, &one(&rotated)).await.unwrap();
    let table = world.table();
    let old_row = table.find(old.current.id()).await.unwrap().unwrap();
    assert!(old_row.active);
    assert_eq!(old_row.key.expires_ms, Some(4_000_000_000_000));

    // The Secret is lost: another key is made.
    let mut heard = listen(&world).await;
    let other = key();
    let done = keys::follow(outside, &stream, &one(&other)).await.unwrap();
    let mut revoked = [&old, &rotated].map(|key| key.current.id().clone());
    assert_eq!(sorted(&done.revoked), sorted(&revoked));
    for gone in &revoked {
        assert!(!table.find(gone).await.unwrap().unwrap().active);
    }
    assert!(table.find(other.current.id()).await.unwrap().unwrap().active);
    let mut told = Vec::new();
    while told.len() < 2 {
        if let Heard::Revoked(id) = hear(&mut heard).await {
            told.push(id);
        }
    }
    revoked.sort();
    assert_eq!(sorted(&told), revoked);
}

fn sorted(ids: &[KeyId]) -> Vec<KeyId> {
    let mut ids = ids.to_vec();
    ids.sort();
    ids
}

#[tokio::test]
async fn rows_that_are_lost_are_hashed_again_from_the_secret() {
    let world = World::new();
    let (outside, stream) = (&world.outside, stream("{ broadcaster: acme }"));
    let main = key();
    keys::follow(outside, &stream, &one(&main)).await.unwrap();
    let installation = world.installation.as_str();
    world.run(&format!("DELETE FROM stream_keys WHERE installation = '{installation}'")).await;
    let done = keys::follow(outside, &stream, &one(&main)).await.unwrap();
    assert_eq!(done.stored, [main.current.id().clone()]);
    assert!(
        Hasher::default().verify(&main.current, &world.rows().await[0].key.hash).await.unwrap()
    );
}

#[tokio::test]
async fn a_secret_that_somebody_edited_is_followed_where_it_holds_keys_and_mended_where_not() {
    let world = World::new();
    let (outside, stream) = (&world.outside, stream("{ broadcaster: acme }"));
    let mut rng = rand::rng();
    let held = desired(&stream.keys, &StreamKeys::default(), 0, &mut rng).unwrap();
    keys::follow(outside, &stream, &held).await.unwrap();
    let first = held.0["main"].current.clone();
    let mut secret = build(&stream, &held);
    let mut edit = |value: &str| {
        let value = ByteString(value.as_bytes().to_vec());
        secret.data = Some(BTreeMap::from([("main".to_owned(), value)]));
        desired(&stream.keys, &read(&secret), 0, &mut rng).unwrap()
    };

    // Another key: the row follows.
    let own = edit("myown1234_a-secret-of-my-own-making");
    assert_eq!(own.0["main"].current.id().as_str(), "myown1234");
    let done = keys::follow(outside, &stream, &own).await.unwrap();
    assert_eq!(done.revoked, [first.id().clone()]);
    // The same id with another secret: the row follows too.
    let other = edit("myown1234_another-secret-of-mine");
    let done = keys::follow(outside, &stream, &other).await.unwrap();
    assert_eq!((done.stored.len(), done.revoked.len()), (1, 0));
    let row = world.table().find(&"myown1234".parse().unwrap()).await.unwrap().unwrap();
    let other: PublishKey = other.0["main"].current.clone();
    assert!(Hasher::default().verify(&other, &row.key.hash).await.unwrap());
    // No key: a new one is made, and the row follows that.
    let mended = edit("not a key");
    assert_ne!(mended.0["main"].current.id(), other.id());
    let done = keys::follow(outside, &stream, &mended).await.unwrap();
    assert_eq!(done.revoked, [other.id().clone()]);
    // A revoked key does not come back; that is a reason to say, not to retry.
    let back = one(&NamedKey { current: first, rotation: 0, previous: None });
    let refused = keys::follow(outside, &stream, &back).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::KeyConflict);
    assert!(!refused.is_transient());
}

#[tokio::test]
async fn the_rows_of_a_stream_follow_its_broadcaster() {
    let world = World::new();
    let main = key();
    let mut hashes = Vec::new();
    for broadcaster in ["acme", "other"] {
        let stream = stream(&format!("{{ broadcaster: {broadcaster} }}"));
        registry::register(&world.outside, &stream).await.unwrap();
        keys::follow(&world.outside, &stream, &one(&main)).await.unwrap();
        let rows = world.rows().await;
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].key.broadcaster.as_str(), rows[0].active), (broadcaster, true));
        hashes.push(rows[0].key.hash.clone());
        let registered = format!(
            "SELECT broadcaster_id FROM livestreams WHERE installation = '{}'",
            world.installation
        );
        assert_eq!(world.texts(&registered).await, [broadcaster]);
    }
    assert!(Hasher::default().verify(&main.current, &hashes[1]).await.unwrap(), "the key stays");
}

#[tokio::test]
async fn keys_of_the_api_are_left_alone() {
    let world = World::new();
    let stream = stream("{ broadcaster: acme }");
    let table = world.table();
    let api = key().current;
    let row = NewKey {
        id: api.id().clone(),
        stream: stream.id.clone(),
        name: "guest".to_owned(),
        broadcaster: "acme".to_owned(),
        hash: Hasher::default().hash(&api).await.unwrap(),
        source: KeySource::Api,
        expires_ms: None,
    };
    table.upsert(&row).await.unwrap();
    keys::follow(&world.outside, &stream, &one(&key())).await.unwrap();
    keys::follow(&world.outside, &stream, &StreamKeys::default()).await.unwrap();
    assert!(table.find(api.id()).await.unwrap().unwrap().active);
}
