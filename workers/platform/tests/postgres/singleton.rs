use std::convert::Infallible;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use millrace_platform::config::Installation;
use millrace_platform::postgres::singleton::{Held, Singleton};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::support::{PATIENCE, World, config, installation, until};

fn place(world: &World, name: &str) -> Singleton {
    Singleton::new(&world.config, &Installation::default(), name).unwrap()
}

const HOLDERS: &str = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
    WHERE l.locktype = 'advisory' AND l.granted AND d.datname = current_database()";

#[tokio::test]
async fn one_holds_it_until_it_lets_go() {
    let world = World::new().await;
    let first = place(&world, "relay").hold().await;
    let other = place(&world, "relay");
    let second = tokio::spawn(async move { other.hold().await });
    // Other names and installations are other places.
    let blue = Singleton::new(&world.config, &installation("blue"), "relay").unwrap();
    let (_metrics, _blue) = (place(&world, "metrics").hold().await, blue.hold().await);
    assert!(!second.is_finished());
    assert_eq!(world.number(HOLDERS).await, 3);
    drop(first);
    timeout(PATIENCE, second).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_holder_that_is_cut_off_knows_and_another_takes_over() {
    let world = World::new().await;
    let first = place(&world, "relay").hold().await;
    world
        .run(
            "SELECT pg_terminate_backend(l.pid) FROM pg_locks l
             JOIN pg_database d ON d.oid = l.database
             WHERE l.locktype = 'advisory' AND d.datname = current_database()",
        )
        .await;
    timeout(PATIENCE, first.lost()).await.unwrap();
    timeout(PATIENCE, place(&world, "relay").hold()).await.unwrap();
}

/// Not a test: the process of the next one, which is killed.
#[tokio::test]
async fn holder_process() {
    let Ok(url) = std::env::var("SINGLETON_HOLDER_URL") else { return };
    let place = Singleton::new(&config(&url, &[]), &Installation::default(), "relay").unwrap();
    let _held = place.hold().await;
    println!("held");
    std::future::pending::<()>().await;
}

/// A process that holds the place, until it is dropped.
async fn holder(world: &World) -> Child {
    let mut child = tokio::process::Command::from({
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["singleton::holder_process", "--exact", "--nocapture"]);
        command.env("SINGLETON_HOLDER_URL", &world.url).stdout(Stdio::piped());
        command
    })
    .kill_on_drop(true)
    .spawn()
    .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let held = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.ends_with("held") {
                return;
            }
        }
        panic!("the holder ended");
    };
    timeout(PATIENCE, held).await.unwrap();
    child
}

/// Somebody who waits for the place.
async fn waiting(world: &World) -> JoinHandle<Held> {
    let place = place(world, "relay");
    let waiting = tokio::spawn(async move { place.hold().await });
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(!waiting.is_finished());
    waiting
}

#[tokio::test]
async fn it_moves_when_its_holder_is_killed() {
    let world = World::new().await;
    let mut holder = holder(&world).await;
    let waiting = waiting(&world).await;
    holder.kill().await.unwrap();
    timeout(PATIENCE, waiting).await.unwrap().unwrap();
}

#[tokio::test]
async fn it_moves_when_its_holder_stands_still() {
    let world = World::new().await;
    let holder = holder(&world).await;
    let waiting = waiting(&world).await;
    let pid = holder.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
    timeout(PATIENCE, waiting).await.unwrap().unwrap();
}

#[tokio::test]
async fn work_runs_at_one_place_only_and_begins_again_after_a_failure() {
    let world = World::new().await;
    let stop = CancellationToken::new();
    let (running, begun) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let mut replicas = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (place, stop) = (place(&world, "relay"), stop.clone());
        let (running, begun) = (Arc::clone(&running), Arc::clone(&begun));
        replicas.spawn(async move {
            let work = |stop: CancellationToken| {
                let (running, begun) = (Arc::clone(&running), Arc::clone(&begun));
                async move {
                    assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0);
                    let first = begun.fetch_add(1, Ordering::SeqCst) == 0;
                    if !first {
                        stop.cancelled().await;
                    }
                    running.fetch_sub(1, Ordering::SeqCst);
                    if first { Err("the first time it fails") } else { Ok(()) }
                }
            };
            place.run(stop, work).await;
        });
    }
    until("it began again", || async { begun.load(Ordering::SeqCst) == 2 }).await;
    stop.cancel();
    while let Some(done) = timeout(PATIENCE, replicas.join_next()).await.unwrap() {
        done.unwrap();
    }
    until("nobody holds it", || async { world.number(HOLDERS).await == 0 }).await;
}

#[tokio::test]
async fn work_is_dropped_when_its_place_is_lost() {
    let world = World::new().await;
    let (place, stop) = (place(&world, "relay"), CancellationToken::new());
    let begun = Arc::new(AtomicU32::new(0));
    let (count, token) = (Arc::clone(&begun), stop.clone());
    let replica = tokio::spawn(async move {
        let work = |_| {
            count.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<Result<(), Infallible>>()
        };
        tokio::select! {
            () = place.run(token.clone(), work) => {}
            () = token.cancelled() => {}
        }
    });
    until("it began", || async { begun.load(Ordering::SeqCst) == 1 }).await;
    let cut = "SELECT pg_terminate_backend(l.pid) FROM pg_locks l
        JOIN pg_database d ON d.oid = l.database
        WHERE l.locktype = 'advisory' AND d.datname = current_database()";
    world.run(cut).await;
    until("it began again", || async { begun.load(Ordering::SeqCst) == 2 }).await;
    stop.cancel();
    replica.await.unwrap();
}
