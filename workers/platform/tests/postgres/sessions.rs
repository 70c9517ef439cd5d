use millrace_media::id::BroadcastId;
use millrace_platform::config::Installation;
use millrace_platform::postgres::DatabaseError;
use millrace_platform::postgres::page::PageRequest;
use millrace_platform::postgres::sessions::{Session, SessionFilter, SessionSource, Sessions};
use uuid::Uuid;

use crate::support::{World, opened, stream};

fn session(stream_id: &str, joined_ms: i64) -> Session {
    Session {
        id: Uuid::now_v7(),
        stream: stream(stream_id),
        broadcast: None,
        viewer: "0123456789abcdef".to_owned(),
        source: SessionSource::Beacon,
        joined_ms,
        seen_ms: joined_ms,
        left_ms: None,
        rendition: None,
        rung_changes: 0,
        watch_ms: 0,
        stalls: 0,
        dropped_frames: 0,
    }
}

fn table(world: &World) -> Sessions {
    Sessions::new(world.database.clone(), Installation::default())
}

async fn upsert(world: &World, sessions: &[Session]) -> Result<(), DatabaseError> {
    let mut t = world.database.begin().await.unwrap();
    let _ = table(world).upsert(&mut t, sessions).await?;
    t.commit().await
}

#[tokio::test]
async fn reports_in_any_order_end_in_the_same_row() {
    let world = World::new().await;
    let first = session("events.keynote", 1_000);
    let later = Session {
        seen_ms: 21_000,
        rendition: Some("720p".parse().unwrap()),
        rung_changes: 1,
        watch_ms: 20_000,
        stalls: 2,
        dropped_frames: 3,
        ..first.clone()
    };
    let between = Session {
        seen_ms: 11_000,
        rendition: Some("480p".parse().unwrap()),
        watch_ms: 10_000,
        ..first.clone()
    };
    // Twice in one batch, and an old one after a new one.
    upsert(&world, &[between.clone(), first.clone(), later.clone()]).await.unwrap();
    upsert(&world, &[between, first.clone()]).await.unwrap();
    assert_eq!(table(&world).find(first.id).await.unwrap(), Some(later.clone()));

    let left = Session { left_ms: Some(21_000), ..later.clone() };
    upsert(&world, std::slice::from_ref(&left)).await.unwrap();
    upsert(&world, std::slice::from_ref(&later)).await.unwrap();
    assert_eq!(table(&world).find(first.id).await.unwrap(), Some(left));
    // Seen again: it is back.
    let back = Session { seen_ms: 31_000, ..later };
    upsert(&world, std::slice::from_ref(&back)).await.unwrap();
    assert_eq!(table(&world).find(first.id).await.unwrap(), Some(back));
}

#[tokio::test]
async fn a_session_may_be_written_before_its_broadcast_and_learns_it_later() {
    let world = World::new().await;
    let opened = opened("events.keynote", 10);
    let early = Session { broadcast: Some(opened.broadcast), ..session("events.keynote", 1_000) };
    upsert(&world, std::slice::from_ref(&early)).await.unwrap();
    assert_eq!(table(&world).find(early.id).await.unwrap().unwrap().broadcast, None);
    world.open(&opened).await;
    upsert(&world, std::slice::from_ref(&early)).await.unwrap();
    let broadcast = table(&world).find(early.id).await.unwrap().unwrap().broadcast;
    assert_eq!(broadcast, Some(opened.broadcast));
}

#[tokio::test]
async fn who_was_not_seen_for_long_has_left_then_and_is_told_once() {
    let world = World::new().await;
    let (gone, here) = (session("events.keynote", 1_000), session("events.keynote", 60_000));
    upsert(&world, &[gone.clone(), here.clone()]).await.unwrap();
    let unseen = async || {
        let mut t = world.database.begin().await.unwrap();
        let left = table(&world).leave_unseen(&mut t, 50_000, 100).await.unwrap();
        t.commit().await.unwrap();
        left
    };
    assert_eq!(unseen().await, [Session { left_ms: Some(1_000), ..gone.clone() }]);
    assert_eq!(unseen().await, []);
    let mut t = world.database.begin().await.unwrap();
    table(&world).leave(&mut t, here.id, 70_000).await.unwrap();
    table(&world).leave(&mut t, here.id, 80_000).await.unwrap();
    let unknown = table(&world).leave(&mut t, Uuid::now_v7(), 1).await;
    assert!(matches!(unknown, Err(DatabaseError::NotFound { .. })), "{unknown:?}");
    t.commit().await.unwrap();
    assert_eq!(table(&world).find(here.id).await.unwrap().unwrap().left_ms, Some(70_000));
}

#[tokio::test]
async fn a_thousand_sessions_go_in_one_statement_and_come_back_in_pages() {
    let world = World::new().await;
    let opened = opened("events.keynote", 10);
    world.open(&opened).await;
    let of = |n: i64| Session {
        broadcast: (n % 2 == 0).then_some(opened.broadcast),
        left_ms: (n % 5 == 0).then_some(9_000_000),
        ..session("events.keynote", 1_000 + n / 3)
    };
    let sessions: Vec<_> = (0..1_000).map(of).collect();
    upsert(&world, &sessions).await.unwrap();
    let count = async |filter: SessionFilter| {
        let (mut page, mut count) = (PageRequest { limit: 300, after: None }, 0);
        loop {
            let rows = table(&world).list(&filter, page).await.unwrap();
            count += rows.items.len();
            // New ones move nothing.
            upsert(&world, &[session("events.keynote", 8_000_000)]).await.unwrap();
            page.after = rows.next;
            if page.after.is_none() {
                return count;
            }
        }
    };
    let old = SessionFilter { to_ms: Some(7_000_000), ..SessionFilter::default() };
    assert_eq!(count(old.clone()).await, 1_000);
    let watching = SessionFilter { watching: Some(true), ..old.clone() };
    assert_eq!(count(watching).await, 800);
    let broadcast = SessionFilter { broadcast: Some(opened.broadcast), ..old.clone() };
    assert_eq!(count(broadcast).await, 500);
    let other = SessionFilter { stream: Some(stream("events.other")), ..old.clone() };
    assert_eq!(count(other).await, 0);
    let late = SessionFilter { from_ms: Some(1_300), ..old };
    assert_eq!(count(late).await, 100);

    assert_eq!(table(&world).prune(9_500_000, 150).await.unwrap(), 150);
    assert_eq!(table(&world).prune(9_500_000, 150).await.unwrap(), 50);
}

#[tokio::test]
async fn an_address_is_no_viewer() {
    let world = World::new().await;
    for viewer in ["192.0.2.1:5000", "2001:db8::1", "short"] {
        let wrong = Session { viewer: viewer.to_owned(), ..session("events.keynote", 1) };
        let refused = upsert(&world, &[wrong]).await;
        assert!(matches!(refused, Err(DatabaseError::Invalid { .. })), "{viewer}: {refused:?}");
    }
}

#[tokio::test]
async fn a_session_can_not_move_to_another_stream() {
    let world = World::new().await;
    let first = session("events.keynote", 1_000);
    upsert(&world, std::slice::from_ref(&first)).await.unwrap();
    let moved = Session { stream: stream("events.other"), seen_ms: 5_000, ..first.clone() };
    upsert(&world, &[moved]).await.unwrap();
    assert_eq!(table(&world).find(first.id).await.unwrap(), Some(first));
    let unknown = BroadcastId(Uuid::now_v7());
    let filter = SessionFilter { broadcast: Some(unknown), ..SessionFilter::default() };
    let page = table(&world).list(&filter, PageRequest::default()).await.unwrap();
    assert!(page.items.is_empty() && page.next.is_none());
}
