//! Pages of keys.

use std::collections::BTreeSet;
use std::time::Duration;

use millrace_media::id::KeyId;
use millrace_platform::keys::{ApiKey, SpecKey, generate};
use millrace_platform::postgres::keys::{KeyFilter, KeySource};
use millrace_platform::postgres::page::PageRequest;

use crate::support::{World, now_ms};

async fn ids(world: &World, filter: KeyFilter) -> BTreeSet<KeyId> {
    let page = world.ring.list(&filter, &PageRequest::default()).await.unwrap();
    page.items.into_iter().map(|key| key.key.id).collect()
}

#[tokio::test]
async fn pages_hold_every_key_once_newest_first_whatever_is_made_meanwhile() {
    let world = World::new().await;
    let mut made = Vec::new();
    for n in 0..25 {
        made.push(world.ring.create(&world.wanted(&format!("key {n}"))).await.unwrap());
    }
    let mut seen = Vec::new();
    let mut request = PageRequest { limit: 10, after: None };
    let mut sizes = Vec::new();
    loop {
        let page = world.ring.list(&KeyFilter::default(), &request).await.unwrap();
        sizes.push(page.items.len());
        seen.extend(page.items.into_iter().map(|key| key.key.id));
        world.ring.create(&world.wanted("made meanwhile")).await.unwrap();
        let Some(next) = page.next else { break };
        // As its text travels.
        request.after = Some(next.to_string().parse().unwrap());
    }
    assert_eq!(sizes, [10, 10, 5]);
    let expected: Vec<_> = made.iter().rev().map(|key| key.id().clone()).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn keys_of_the_same_instant_are_not_lost_between_pages() {
    let world = World::new().await;
    for _ in 0..7 {
        world.ring.create(&world.wanted("twin")).await.unwrap();
    }
    world.execute("UPDATE stream_keys SET created_at = '2026-01-02T03:04:05.678901Z'").await;
    let mut seen = BTreeSet::new();
    let mut request = PageRequest { limit: 3, after: None };
    loop {
        let page = world.ring.list(&KeyFilter::default(), &request).await.unwrap();
        seen.extend(page.items.into_iter().map(|key| key.key.id));
        let Some(next) = page.next else { break };
        request.after = Some(next);
    }
    assert_eq!(seen.len(), 7);
}

#[tokio::test]
async fn filters_hold_together() {
    let world = World::new().await;
    let mine = world.ring.create(&world.wanted("mine")).await.unwrap();
    let other = ApiKey {
        stream: "events.other".parse().unwrap(),
        broadcaster: "globex".to_owned(),
        ..world.wanted("other")
    };
    let other = world.ring.create(&other).await.unwrap();
    let spec = generate(&mut rand::rng()).unwrap();
    let of_spec = SpecKey { key: &spec, name: "main", expires_ms: None };
    world.ring.follow_spec(&world.stream, "acme", &[of_spec]).await.unwrap();
    let revoked = world.ring.create(&world.wanted("revoked")).await.unwrap();
    world.ring.revoke(&world.stream, revoked.id()).await.unwrap();
    // Its overlap is over at once.
    let expired = world.ring.create(&world.wanted("expired")).await.unwrap();
    let successor =
        world.ring.rotate(&world.stream, expired.id(), Duration::ZERO, None).await.unwrap();
    assert!(!world.row(expired.id()).await.is_valid_at(now_ms()));

    let set = |keys: &[&millrace_media::id::PublishKey]| -> BTreeSet<KeyId> {
        keys.iter().map(|key| key.id().clone()).collect()
    };
    let all = KeyFilter::default;
    let stream = Some(world.stream.clone());
    let good = Some(true);
    assert_eq!(ids(&world, all()).await.len(), 6);
    let filter = KeyFilter { stream: stream.clone(), good, ..all() };
    assert_eq!(ids(&world, filter).await, set(&[&mine, &spec, &successor]));
    let filter = KeyFilter { good: Some(false), ..all() };
    assert_eq!(ids(&world, filter).await, set(&[&revoked, &expired]));
    let filter = KeyFilter { broadcaster: Some("globex".to_owned()), ..all() };
    assert_eq!(ids(&world, filter).await, set(&[&other]));
    let filter = KeyFilter { stream, source: Some(KeySource::Spec), good, ..all() };
    assert_eq!(ids(&world, filter).await, set(&[&spec]));
}
