//! Keys of the spec, and what keeps them and the API's apart.

use std::time::Duration;

use millrace_media::id::PublishKey;
use millrace_platform::keys::{Hasher, Heard, KeyError, SpecKey, generate};
use millrace_platform::postgres::DatabaseError;
use millrace_platform::postgres::keys::KeySource;

use crate::support::{World, hear, now_ms};

fn key() -> PublishKey {
    generate(&mut rand::rng()).unwrap()
}

fn wanted<'a>(name: &'a str, key: &'a PublishKey) -> SpecKey<'a> {
    SpecKey { key, name, expires_ms: None }
}

#[tokio::test]
async fn a_spec_key_that_is_rotated_away_is_told_to_be_looked_at_and_then_revoked() {
    let world = World::new().await;
    let (old, new) = (key(), key());
    let follow = async |keys: &[SpecKey<'_>]| {
        world.ring.follow_spec(&world.stream, "acme", keys).await.unwrap();
    };
    follow(&[wanted("main", &old)]).await;
    let mut listener = world.listener().await;
    let end = now_ms() + 60_000;
    let previous = SpecKey { expires_ms: Some(end), ..wanted("main", &old) };
    follow(&[wanted("main", &new), previous]).await;
    // A publisher with the old key goes on: nothing says that it was revoked.
    let mut heard = vec![hear(&mut listener).await, hear(&mut listener).await];
    heard.sort_by_key(|h| *h != Heard::Changed(old.id().clone()));
    assert_eq!(heard, [&old, &new].map(|key| Heard::Changed(key.id().clone())));
    assert_eq!(world.row(old.id()).await.key.expires_ms, Some(end));
    assert!(world.row(old.id()).await.active);

    // The same again writes and says nothing; then the old one goes.
    follow(&[wanted("main", &new), previous]).await;
    follow(&[wanted("main", &new)]).await;
    assert_eq!(hear(&mut listener).await, Heard::Revoked(old.id().clone()));
    assert!(!world.row(old.id()).await.active && world.row(new.id()).await.active);
}

#[tokio::test]
async fn the_spec_never_prunes_the_apis_keys_and_the_api_refuses_the_specs() {
    let world = World::new().await;
    let spec = key();
    world.ring.follow_spec(&world.stream, "acme", &[wanted("main", &spec)]).await.unwrap();
    let api = world.ring.create(&world.wanted("guest")).await.unwrap();

    let revoked = world.ring.revoke(&world.stream, spec.id()).await;
    assert!(matches!(revoked, Err(KeyError::OfSpec { .. })), "{revoked:?}");
    let rotated = world.ring.rotate(&world.stream, spec.id(), Duration::ZERO, None).await;
    assert!(matches!(rotated, Err(KeyError::OfSpec { .. })), "{rotated:?}");
    assert!(world.row(spec.id()).await.is_valid_at(now_ms()));

    world.ring.follow_spec(&world.stream, "acme", &[]).await.unwrap();
    assert!(!world.row(spec.id()).await.active);
    let api = world.row(api.id()).await;
    assert!(api.active && api.key.source == KeySource::Api);
    // Nor can the spec take an API's key over.
    let taken = key();
    let taken = PublishKey::new(api.key.id, taken.secret().to_owned()).unwrap();
    let follow = world.ring.follow_spec(&world.stream, "acme", &[wanted("main", &taken)]).await;
    assert!(matches!(follow, Err(KeyError::Postgres(_))), "{follow:?}");
}

#[tokio::test]
async fn a_key_that_conflicts_keeps_no_other_from_being_revoked_or_stored() {
    let world = World::new().await;
    let [old, removed, new] = [key(), key(), key()];
    let follow =
        async |keys: &[SpecKey<'_>]| world.ring.follow_spec(&world.stream, "acme", keys).await;
    follow(&[wanted("main", &old), wanted("guest", &removed)]).await.unwrap();
    follow(&[wanted("guest", &removed)]).await.unwrap();
    // The Secret was restored: it holds the revoked one again.
    let restored = follow(&[wanted("main", &old), wanted("new", &new)]).await;
    assert!(matches!(restored, Err(KeyError::Postgres(DatabaseError::Conflict { .. }))));
    assert!(!world.row(old.id()).await.active && !world.row(removed.id()).await.active);
    assert!(world.row(new.id()).await.active);
}

#[tokio::test]
async fn rows_that_are_lost_or_wrong_are_written_again_from_the_secret() {
    let world = World::new().await;
    let main = key();
    let follow = async || {
        world.ring.follow_spec(&world.stream, "acme", &[wanted("main", &main)]).await.unwrap();
    };
    follow().await;
    let first = world.row(main.id()).await;
    follow().await;
    assert_eq!(world.row(main.id()).await.key.hash, first.key.hash, "written once");
    for damage in ["DELETE FROM stream_keys", "UPDATE stream_keys SET hash = '$2b$04$no'"] {
        world.execute(damage).await;
        follow().await;
        let row = world.row(main.id()).await;
        assert!(Hasher::new(4, 1).verify(&main, &row.key.hash).await.unwrap(), "{damage}");
    }
}
