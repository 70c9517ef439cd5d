//! How long look-ups take that stand before a publisher or a viewer, asked one after the other
//! on loopback with nothing else going on.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use millrace_delivery::fetch::{Fetch, MediaKey};
use millrace_delivery::metrics::Metrics;
use millrace_delivery::origin::Origin;
use millrace_delivery::settings::Settings;
use millrace_media::id::{BroadcastId, Msn, PublishKey, RenditionName, Run, StreamId};
use millrace_media::published::{InitHash, MediaName, SegmentInfo};
use millrace_platform::config::{DatabaseConfig, Env};
use millrace_platform::keys::{Answer, Hasher, Verdict, Verdicts, generate};
use millrace_platform::postgres::keys::{KeySource, Keys, NewKey};
use millrace_platform::postgres::{Database, migrate};
use millrace_platform::redis::Redis;
use millrace_platform::redis::media::{Lease, MediaWriter};
use millrace_platform::redis::metrics::{MetricsData, Snapshot};
use millrace_platform::redis::viewers::{Report, Settled, Sign};
use millrace_platform::wall;
use tokio::time::Instant;
use uuid::Uuid;

use crate::latency::Spread;
use crate::report::{Row, decimals};

/// Of each look-up, after a tenth as many that are not measured.
const COUNT: usize = 5_000;
/// Those that cost a hash.
const HASHED: usize = 200;
/// Viewers of the stream whose viewers are counted.
const VIEWERS: u32 = 1_000;
/// Two seconds of 3 Mb/s.
const SEGMENT: usize = 750_000;

/// What they are made on.
pub(crate) struct Lookups {
    settings: Settings,
    database: Database,
    origin: Origin,
    stream: StreamId,
    key: PublishKey,
}

impl Lookups {
    /// On a migrated database and a Redis, where it puts what is looked up.
    pub(crate) async fn prepare(environment: Vec<(String, String)>) -> Result<Self> {
        let env = Env::from_pairs(environment);
        let settings = Settings::read(&env)?;
        let config = DatabaseConfig::read(&env)?;
        migrate(&config, Duration::from_secs(30)).await?;
        let database = Database::open(&config)?;
        let origin = Origin::open(&settings, &Metrics::default())?;
        let stream = StreamId::new("bench", "lookups")?;
        let key = generate(&mut rand::rng())?;
        Ok(Self { settings, database, origin, stream, key })
    }

    /// A row for each: p50, p99 and max in ms.
    pub(crate) async fn measure(&self) -> Result<Vec<Row>> {
        Ok(vec![
            self.key_cached().await?,
            self.key_uncached().await?,
            self.snapshot().await?,
            self.viewers().await?,
            self.segment(true).await?,
            self.segment(false).await?,
        ])
    }

    async fn key_cached(&self) -> Result<Row> {
        let redis = Redis::connect(&self.settings.redis.keys, "keys")?;
        let verdicts = Verdicts::new(redis, self.settings.installation.clone());
        let right = Verdict::right(&self.key, self.stream.clone(), None);
        verdicts.put(self.key.id(), &right).await?;
        let spread = spread(COUNT, async || {
            let verdict = verdicts.get(self.key.id()).await?.context("no verdict")?;
            let answer = verdict.answer(&self.key, &self.stream, wall::ms());
            ensure!(answer == Answer::Accepted, "{answer:?}");
            Ok(())
        });
        Ok(row("key validation, cached", &spread.await?, "the verdict in Redis, and SHA-256"))
    }

    async fn key_uncached(&self) -> Result<Row> {
        let keys = Keys::new(self.database.clone(), self.settings.installation.clone());
        let hasher = Hasher::default();
        let new = NewKey {
            id: self.key.id().clone(),
            stream: self.stream.clone(),
            name: "main".to_owned(),
            broadcaster: "bench".to_owned(),
            hash: hasher.hash(&self.key).await?,
            source: KeySource::Spec,
            expires_ms: None,
        };
        keys.upsert(&new).await?;
        let spread = spread(HASHED, async || {
            let stored = keys.find(self.key.id()).await?.context("no key")?;
            ensure!(stored.is_valid_at(wall::ms()), "not valid");
            ensure!(hasher.verify(&self.key, &stored.key.hash).await?, "not right");
            Ok(())
        });
        Ok(row("key validation, uncached", &spread.await?, "the row in Postgres, and bcrypt"))
    }

    async fn snapshot(&self) -> Result<Row> {
        let rung = |name: &str, viewers| Ok::<_, anyhow::Error>((name.parse()?, viewers));
        let data = MetricsData {
            stream_id: self.stream.clone(),
            concurrent_viewers: VIEWERS,
            ingress_bitrate_mbps: 3.0,
            egress_bitrate_mbps: 1_500.0,
            quality_distribution: [rung("480p", 200)?, rung("720p", 800)?].into(),
            dropped_frames: 1,
            buffering_events: 2,
        };
        let snapshot = [Snapshot {
            second: wall::second(),
            broadcast: None,
            data,
            turnover: None,
            log_lag_ms: None,
            amiss: millrace_platform::redis::metrics::Amiss::default(),
        }];
        let store = &self.origin.metrics;
        store.put_snapshots(&snapshot).await?;
        let mut renewed = Instant::now();
        let spread = spread(COUNT, async || {
            if renewed.elapsed() > Duration::from_secs(2) {
                store.put_snapshots(&snapshot).await?;
                renewed = Instant::now();
            }
            store.get_snapshot(&self.stream).await?.context("no snapshot").map(drop)
        });
        Ok(row("metrics snapshot", &spread.await?, "Redis, parsed"))
    }

    async fn viewers(&self) -> Result<Row> {
        let broadcast = BroadcastId(Uuid::now_v7());
        let report = |n: u32| {
            Ok(Report {
                viewer: format!("viewer-{n}").parse()?,
                sign: Sign::Seen,
                covers: None,
                seen_s: wall::second(),
                joined_ms: wall::ms(),
                broadcast,
                rendition: Some("720p".parse()?),
                stalls: 0,
                more_stalls: 0,
                dropped_frames: 0,
                settled: Settled::default(),
            })
        };
        let reports = (0..VIEWERS).map(report).collect::<Result<Vec<_>>>()?;
        let now = wall::second();
        self.origin.viewers.report(&self.stream, &reports, now).await?;
        let spread = spread(COUNT, async || {
            let count = self.origin.viewers.count(&self.stream, now).await?;
            ensure!(count == u64::from(VIEWERS), "{count} viewers");
            Ok(())
        });
        Ok(row("viewer count", &spread.await?, "Redis, of 1,000 viewers"))
    }

    async fn segment(&self, memory: bool) -> Result<Row> {
        let lease =
            Lease { broadcast: BroadcastId(Uuid::now_v7()), run: Run(1), token: Uuid::new_v4() };
        let redis = Redis::connect(&self.settings.redis.media, "media")?;
        let writer = MediaWriter::new(redis, &self.settings.installation, &self.stream, lease);
        writer.claim().await?;
        let rendition: RenditionName = "720p".parse()?;
        let bytes = Bytes::from(vec![7; SEGMENT]);
        let (msn, run) = (Msn(0), lease.run);
        let info = SegmentInfo {
            msn,
            run,
            start: 0,
            duration: 180_000,
            bytes: SEGMENT as u64,
            discontinuities: 0,
            date_ms: 0,
            init: InitHash::of(b"init"),
            gap: false,
            base: None,
        };
        writer.publish_segment(&rendition, &info, &bytes, &[], msn).await?;
        let key = MediaKey {
            stream: self.stream.clone(),
            broadcast: lease.broadcast,
            rendition: rendition.clone(),
            name: MediaName::Segment { msn, run },
        };
        let (name, note) = ("segment of 750 KB", "delivery's memory");
        let fetch = Fetch::new(self.origin.clone(), Metrics::default(), 100_000_000);
        if memory {
            let spread = spread(COUNT, async || ensure_whole(&fetch.get(&key).await?)).await?;
            return Ok(row(name, &spread, note));
        }
        let spread = spread(COUNT / 5, async || {
            let found = self.origin.media_from_redis(&key).await?;
            ensure_whole(&found.context("not in Redis")?)
        });
        Ok(row(name, &spread.await?, "Redis"))
    }
}

fn ensure_whole(bytes: &Bytes) -> Result<()> {
    ensure!(bytes.len() == SEGMENT, "{} bytes", bytes.len());
    Ok(())
}

/// How long each of `count` calls took.
pub(crate) async fn spread(
    count: usize,
    mut ask: impl AsyncFnMut() -> Result<()>,
) -> Result<Spread> {
    for _ in 0..count / 10 {
        ask().await?;
    }
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let before = Instant::now();
        ask().await?;
        all.push(before.elapsed());
    }
    Spread::of(all).context("nothing was asked")
}

/// A row of look-ups.
pub(crate) fn row(name: &str, spread: &Spread, note: &'static str) -> Row {
    let ms = |took: Duration| decimals(took.as_secs_f64() * 1_000.0, 3);
    Row::new(name, vec![ms(spread.p50), ms(spread.p99), ms(spread.max)], note)
}
