//! A paced publisher: another implementation's RTMP client that sends each tag at its time and
//! notes when it wrote which picture.
//!
//! Every server gets the same messages in chunks of 4,096 bytes, one write a message.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rml_rtmp::sessions::{
    ClientSession, ClientSessionConfig, ClientSessionEvent, ClientSessionResult,
    PublishRequestType, StreamMetadata,
};
use rml_rtmp::time::RtmpTimestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::flv::{Kind, Tag};
use crate::material::{FPS, Material};

/// No answer or no progress for so long is an error.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where to publish.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// `rtmp://host:port/app`.
    pub(crate) url: String,
    /// The stream's name, or its key.
    pub(crate) name: String,
}

/// A publish under way. Dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct Publisher {
    /// Bytes written so far.
    sent: watch::Receiver<u64>,
    stop: oneshot::Sender<()>,
    task: Task,
}

#[derive(Debug)]
struct Task(JoinHandle<Result<Vec<Instant>>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Publisher {
    /// Connects, and begins when the server has accepted.
    pub(crate) async fn start(target: &Target, material: &Arc<Material>) -> Result<Self> {
        let connection = timeout(PATIENCE, Connection::open(target))
            .await
            .context("the server does not answer")
            .and_then(|opened| opened)
            .with_context(|| format!("publishing to {}", target.url))?;
        let (noted, sent) = watch::channel(0);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(pace(connection, material.clone(), noted, stopped));
        Ok(Self { sent, stop, task: Task(task) })
    }

    /// Bytes of tags written so far, chunk headers included.
    pub(crate) fn sent(&self) -> u64 {
        *self.sent.borrow()
    }

    /// Waits for `work`; fails if publishing ends before it is done.
    pub(crate) async fn during<T>(&mut self, work: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            done = work => Ok(done),
            ended = &mut self.task.0 => match ended.context("the publisher's task")? {
                Err(error) => Err(error),
                Ok(_) => bail!("the publish ended"),
            },
        }
    }

    /// Ends the publish as encoders do; when each picture was written, in order.
    pub(crate) async fn stop(mut self) -> Result<Vec<Instant>> {
        let _ = self.stop.send(());
        (&mut self.task.0).await.context("the publisher's task")?
    }
}

async fn pace(
    mut connection: Connection,
    material: Arc<Material>,
    noted: watch::Sender<u64>,
    mut stop: oneshot::Receiver<()>,
) -> Result<Vec<Instant>> {
    let mut pictures = Vec::new();
    let mut buffer = vec![0; 4_096];
    let start = Instant::now();
    for tag in &material.tags {
        let due = start + Duration::from_millis(tag.time_ms.into());
        loop {
            tokio::select! {
                () = sleep_until(due) => break,
                _ = &mut stop => {
                    connection.unpublish().await?;
                    return Ok(pictures);
                }
                read = connection.socket.read(&mut buffer) => {
                    let heard = buffer.get(..read?).unwrap_or_default();
                    ensure!(!heard.is_empty(), "the server closed the connection");
                    connection.hear(heard).await?;
                }
            }
        }
        if tag.kind == Kind::Picture {
            pictures.push(Instant::now());
        }
        let written = timeout(PATIENCE, connection.publish(tag)).await;
        let bytes = written.context("the server does not read")??;
        noted.send_modify(|sent| *sent += bytes);
    }
    bail!("all of the file was published before the measurement ended")
}

struct Connection {
    socket: TcpStream,
    session: ClientSession,
    events: Vec<ClientSessionEvent>,
}

impl Connection {
    async fn open(target: &Target) -> Result<Self> {
        let (address, app) = target
            .url
            .strip_prefix("rtmp://")
            .and_then(|rest| rest.split_once('/'))
            .context("no rtmp://host:port/app")?;
        let mut socket = TcpStream::connect(address).await?;
        // What is measured is the server, not the sender's waiting for acknowledgements.
        socket.set_nodelay(true)?;
        shake_hands(&mut socket).await.context("handshake")?;
        let mut config = ClientSessionConfig::new();
        config.tc_url = Some(target.url.clone());
        let (session, first) = ClientSession::new(config)?;
        let mut connection = Self { socket, session, events: Vec::new() };
        connection.send(first).await?;
        let connect = connection.session.request_connection(app.to_owned())?;
        connection.send(vec![connect]).await?;
        match connection.event().await? {
            ClientSessionEvent::ConnectionRequestAccepted => {}
            other => bail!("the answer to connect is {other:?}"),
        }
        let live = PublishRequestType::Live;
        let publish = connection.session.request_publishing(target.name.clone(), live)?;
        connection.send(vec![publish]).await?;
        match connection.event().await? {
            ClientSessionEvent::PublishRequestAccepted => {}
            other => bail!("the answer to publish is {other:?}"),
        }
        let metadata = connection.session.publish_metadata(&metadata())?;
        connection.send(vec![metadata]).await?;
        Ok(connection)
    }

    /// The next event that is no acknowledgement.
    async fn event(&mut self) -> Result<ClientSessionEvent> {
        let mut buffer = vec![0; 4_096];
        loop {
            while !self.events.is_empty() {
                let event = self.events.remove(0);
                if !matches!(event, ClientSessionEvent::AcknowledgementReceived { .. }) {
                    return Ok(event);
                }
            }
            let length = self.socket.read(&mut buffer).await?;
            let heard = buffer.get(..length).unwrap_or_default();
            ensure!(!heard.is_empty(), "the server closed the connection");
            self.hear(heard).await?;
        }
    }

    async fn hear(&mut self, bytes: &[u8]) -> Result<()> {
        let results = self.session.handle_input(bytes)?;
        self.send(results).await
    }

    async fn publish(&mut self, tag: &Tag) -> Result<u64> {
        let (body, time) = (tag.body.clone(), RtmpTimestamp::new(tag.time_ms));
        let message = if tag.kind.is_video() {
            self.session.publish_video_data(body, time, false)?
        } else {
            self.session.publish_audio_data(body, time, false)?
        };
        let ClientSessionResult::OutboundResponse(packet) = message else {
            bail!("the client made no message of a tag");
        };
        self.socket.write_all(&packet.bytes).await?;
        Ok(u64::try_from(packet.bytes.len())?)
    }

    async fn send(&mut self, results: Vec<ClientSessionResult>) -> Result<()> {
        for result in results {
            match result {
                ClientSessionResult::OutboundResponse(packet) => {
                    self.socket.write_all(&packet.bytes).await?;
                }
                ClientSessionResult::RaisedEvent(event) => self.events.push(event),
                ClientSessionResult::UnhandleableMessageReceived(_) => {}
            }
        }
        Ok(())
    }

    async fn unpublish(mut self) -> Result<()> {
        let stop = self.session.stop_publishing()?;
        self.send(stop).await?;
        self.socket.shutdown().await?;
        Ok(())
    }
}

async fn shake_hands(socket: &mut TcpStream) -> Result<()> {
    let mut handshake = Handshake::new(PeerType::Client);
    socket.write_all(&handshake.generate_outbound_p0_and_p1()?).await?;
    let mut buffer = vec![0; 4_096];
    loop {
        let length = socket.read(&mut buffer).await?;
        let heard = buffer.get(..length).unwrap_or_default();
        ensure!(!heard.is_empty(), "the server closed the connection");
        match handshake.process_bytes(heard)? {
            HandshakeProcessResult::InProgress { response_bytes } => {
                socket.write_all(&response_bytes).await?;
            }
            HandshakeProcessResult::Completed { response_bytes, remaining_bytes } => {
                ensure!(remaining_bytes.is_empty(), "the server speaks before it is spoken to");
                return Ok(socket.write_all(&response_bytes).await?);
            }
        }
    }
}

/// As encoders announce it; the codec ids are FLV's (E.4.2.1, E.4.3.1).
fn metadata() -> StreamMetadata {
    let mut metadata = StreamMetadata::new();
    metadata.video_width = Some(1_280);
    metadata.video_height = Some(720);
    metadata.video_codec_id = Some(7);
    metadata.video_frame_rate = u16::try_from(FPS).ok().map(f32::from);
    metadata.audio_codec_id = Some(10);
    metadata.audio_sample_rate = Some(48_000);
    metadata.audio_channels = Some(2);
    metadata.audio_is_stereo = Some(true);
    metadata
}
