//! The transcoder's settings, read once from the environment.

use std::net::SocketAddr;
use std::path::PathBuf;

use millrace_media::id::StreamId;
use millrace_media::ladder::{Rung, default_ladder};
use millrace_media::published::Access;
use millrace_media::time::Ticks;
use millrace_platform::config::{
    ConfigError, Env, Installation, KafkaConfig, RedisConfig, StoreConfig, TelemetryConfig,
};

use crate::encoder::command::X264;

/// See docs/architecture.md, "The environment".
#[derive(Debug, Clone)]
pub struct Config {
    /// `STREAM_ID`.
    pub stream: StreamId,
    /// `MILLRACE_INSTALLATION`.
    pub installation: Installation,
    /// `KAFKA_BROKERS`.
    pub kafka: KafkaConfig,
    /// `REDIS_URL` and its overrides.
    pub redis: RedisConfig,
    /// `OBJECT_STORE_URL`.
    pub store: StoreConfig,
    /// `RUST_LOG`, `LOG_FORMAT`.
    pub telemetry: TelemetryConfig,
    /// `HEALTH_PORT`.
    pub health: SocketAddr,
    /// `LADDER`.
    pub ladder: Vec<Rung>,
    /// `PRESET`, `TUNE`, `THREADS`.
    pub x264: X264,
    /// `SEGMENT_DURATION_MS`.
    pub segment: Ticks,
    /// 1.075 × `PART_DURATION_MS`: legal for every usual frame rate.
    pub part_target: Ticks,
    /// `REPLAY_WINDOW_SECONDS`: how long the log keeps a record at least.
    pub replay_window: Ticks,
    /// `DVR_WINDOW_SECONDS`.
    pub dvr_window: Ticks,
    /// `FFMPEG_PATH`.
    pub ffmpeg: PathBuf,
    /// `MOCK_FFMPEG`.
    pub mock_ffmpeg: bool,
    /// `TRANSCODE_REDUNDANCY`: transcoders of this stream; with two, one writes
    /// and one stands by.
    pub redundancy: u32,
    /// `PLAYBACK_ACCESS`: who may watch the broadcasts that begin here.
    pub access: Access,
}

impl Config {
    /// From the environment; the error names everything that is wrong.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let stream = env.required("STREAM_ID");
        let installation = Installation::read(env);
        let kafka = KafkaConfig::read(env);
        let redis = RedisConfig::read(env);
        let store = StoreConfig::read(env);
        let telemetry = TelemetryConfig::read(env);
        let health = env.listen("health", 8090);
        let ladder = env.or("LADDER", default_ladder());
        let preset = env.or("PRESET", "fast".to_owned());
        let tune = env.or("TUNE", "zerolatency".to_owned());
        let threads = env.within("THREADS", 2, 1..=64);
        let segment = env.within("SEGMENT_DURATION_MS", 2_000, 1_000..=10_000_i64);
        let part = env.within("PART_DURATION_MS", 200, 100..=1_000_i64);
        let replay = env.within("REPLAY_WINDOW_SECONDS", 900, 60..=86_400_i64);
        let dvr = env.within("DVR_WINDOW_SECONDS", 120, 12..=86_400_i64);
        let ffmpeg = env.or("FFMPEG_PATH", PathBuf::from("ffmpeg"));
        let mock_ffmpeg = env.or("MOCK_FFMPEG", false);
        let redundancy = env.within("TRANSCODE_REDUNDANCY", 1, 1..=2_u32);
        let access = env.or("PLAYBACK_ACCESS", Access::Public);
        env.report()?;
        let part_ms = part?;
        Ok(Self {
            stream: stream?,
            installation: installation?,
            kafka: kafka?,
            redis: redis?,
            store: store?,
            telemetry: telemetry?,
            health: health?,
            ladder: ladder?,
            x264: X264 { preset: preset?, tune: tune?, threads: threads? },
            segment: Ticks::from_ms(segment?),
            part_target: Ticks::from_ms(part_ms.saturating_mul(1_075) / 1_000),
            replay_window: Ticks::from_ms(replay?.saturating_mul(1_000)),
            dvr_window: Ticks::from_ms(dvr?.saturating_mul(1_000)),
            ffmpeg: ffmpeg?,
            mock_ffmpeg: mock_ffmpeg?,
            redundancy: redundancy?,
            access: access?,
        })
    }
}
