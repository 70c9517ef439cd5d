//! Keys of the API: made, rotated, revoked.

use std::time::Duration;

use millrace_media::id::StreamId;
use millrace_platform::keys::{
    Answer, Hasher, Heard, KeyError, MAX_API_KEYS, MAX_OVERLAP, Verdict,
};
use millrace_platform::postgres::keys::KeySource;

use crate::support::{World, hear, now_ms};

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_new_key_is_seen_once_and_kept_as_bcrypt_only() {
    let world = World::new().await;
    let key = world.ring.create(&world.wanted("guest")).await.unwrap();
    assert_eq!(key.secret().len(), 43, "256 bits");
    let row = world.row(key.id()).await;
    assert!(Hasher::new(4, 1).verify(&key, &row.key.hash).await.unwrap());
    assert_eq!((row.key.name.as_str(), row.key.source), ("guest", KeySource::Api));
    let dump = world.dump().await;
    assert!(dump.contains("$2b$04$"), "{dump}");
    for text in [dump, format!("{row:?}"), format!("{key:?}")] {
        assert!(!text.contains(key.secret()), "{text}");
    }
}

#[tokio::test]
async fn a_rotated_key_stays_good_beside_its_successor_until_the_overlap_ends() {
    let world = World::new().await;
    let old = world.ring.create(&world.wanted("guest")).await.unwrap();
    let mut listener = world.listener().await;
    let before = now_ms();
    let new = world.ring.rotate(&world.stream, old.id(), HOUR, None).await.unwrap();
    // Who uses the old one is told to look again, not that it is over.
    assert_eq!(hear(&mut listener).await, Heard::Changed(old.id().clone()));
    let (old, new) = (world.row(old.id()).await, world.row(new.id()).await);
    assert_eq!((new.key.name.as_str(), new.key.broadcaster.as_str()), ("guest", "acme"));
    assert_eq!(new.key.expires_ms, None);
    let end = old.key.expires_ms.unwrap();
    assert!((before + 3_600_000..=now_ms() + 3_600_000).contains(&end), "{end}");
    assert!(old.is_valid_at(end - 1) && !old.is_valid_at(end) && new.is_valid_at(end));
}

#[tokio::test]
async fn an_overlap_never_makes_a_key_live_longer() {
    let world = World::new().await;
    let soon = now_ms() + 60_000;
    let mut wanted = world.wanted("guest");
    wanted.expires_ms = Some(soon);
    let old = world.ring.create(&wanted).await.unwrap();
    world.ring.rotate(&world.stream, old.id(), HOUR, None).await.unwrap();
    assert_eq!(world.row(old.id()).await.key.expires_ms, Some(soon));
}

#[tokio::test]
async fn what_is_over_can_not_be_rotated_and_bounds_hold() {
    let world = World::new().await;
    let key = world.ring.create(&world.wanted("guest")).await.unwrap();
    let rotate = |overlap, expires| world.ring.rotate(&world.stream, key.id(), overlap, expires);
    let long = MAX_OVERLAP + Duration::from_secs(1);
    assert!(matches!(rotate(long, None).await, Err(KeyError::Overlap { .. })));
    assert!(matches!(rotate(HOUR, Some(now_ms())).await, Err(KeyError::Expired { .. })));
    let mut late = world.wanted("late");
    late.expires_ms = Some(now_ms() - 1);
    assert!(matches!(world.ring.create(&late).await, Err(KeyError::Expired { .. })));
    world.ring.revoke(&world.stream, key.id()).await.unwrap();
    assert!(matches!(rotate(HOUR, None).await, Err(KeyError::Over { .. })));
    // Nothing was written on the way.
    assert_eq!(world.dump().await.lines().count(), 1);
}

#[tokio::test]
async fn a_revoked_key_is_announced_and_no_late_verdict_makes_it_right_again() {
    let world = World::new().await;
    let key = world.ring.create(&world.wanted("guest")).await.unwrap();
    let right = Verdict::right(&key, world.stream.clone(), None);
    world.verdicts.put(key.id(), &right).await.unwrap();
    let cached = world.verdicts.get(key.id()).await.unwrap().unwrap();
    assert_eq!(cached.answer(&key, &world.stream, now_ms()), Answer::Accepted);
    let mut listener = world.listener().await;
    world.ring.revoke(&world.stream, key.id()).await.unwrap();
    assert_eq!(hear(&mut listener).await, Heard::Revoked(key.id().clone()));
    assert!(!world.row(key.id()).await.active);
    // Somebody who asked Postgres before says so now.
    world.verdicts.put(key.id(), &right).await.unwrap();
    assert_eq!(world.verdicts.get(key.id()).await.unwrap(), Some(Verdict::Revoked));
    // Again is harmless.
    world.ring.revoke(&world.stream, key.id()).await.unwrap();
}

#[tokio::test]
async fn a_key_is_revoked_although_redis_is_away() {
    let world = World::with_redis("redis://127.0.0.1:1").await;
    let key = world.ring.create(&world.wanted("guest")).await.unwrap();
    world.ring.revoke(&world.stream, key.id()).await.unwrap();
    assert!(!world.row(key.id()).await.active);
}

#[tokio::test]
async fn a_key_is_managed_through_its_own_stream_only() {
    let world = World::new().await;
    let key = world.ring.create(&world.wanted("guest")).await.unwrap();
    let other: StreamId = "events.other".parse().unwrap();
    let unknown = "nobody1234".parse().unwrap();
    for (stream, id) in [(&other, key.id()), (&world.stream, &unknown)] {
        let revoked = world.ring.revoke(stream, id).await;
        assert!(matches!(revoked, Err(KeyError::NotFound { .. })), "{revoked:?}");
        let rotated = world.ring.rotate(stream, id, HOUR, None).await;
        assert!(matches!(rotated, Err(KeyError::NotFound { .. })), "{rotated:?}");
    }
    assert!(world.row(key.id()).await.is_valid_at(now_ms()));
}

#[tokio::test]
async fn a_stream_has_a_bounded_number_of_keys_that_are_good() {
    let world = World::new().await;
    let mut last = None;
    for _ in 0..MAX_API_KEYS {
        last = Some(world.ring.create(&world.wanted("guest")).await.unwrap());
    }
    let more = world.ring.create(&world.wanted("guest")).await;
    assert!(matches!(more, Err(KeyError::TooMany { .. })), "{more:?}");
    world.ring.revoke(&world.stream, last.unwrap().id()).await.unwrap();
    world.ring.create(&world.wanted("guest")).await.unwrap();
}
