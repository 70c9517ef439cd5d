//! The client's side of an RTMP connection: handshake, connect, publish, messages, and its end.
//!
//! Every server gets the same messages in chunks of 4,096 bytes, one write a message.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rml_rtmp::sessions::{
    ClientSession, ClientSessionConfig, ClientSessionEvent, ClientSessionResult,
    PublishRequestType, StreamMetadata,
};
use rml_rtmp::time::RtmpTimestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// No answer or no progress for so long is an error.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where RTMP is spoken unless somebody says otherwise.
const PORT: u16 = 1935;
/// Read at once.
const BUFFER: usize = 4_096;

/// Where to publish.
#[derive(Debug, Clone)]
pub struct Target {
    /// `rtmp://host:port/app`; without a port it is 1935.
    pub url: String,
    /// The stream's name, or its key.
    pub name: String,
}

/// What is announced of the pictures; the sound is AAC, 48 kHz, stereo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announced {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Pictures per second.
    pub fps: u16,
}

/// A message of audio or video.
#[derive(Debug, Clone)]
pub struct Message {
    /// Video, or audio.
    pub video: bool,
    /// As it is on the wire: 32 bits that wrap.
    pub stamp: u32,
    /// The stamp stands in full and not as the difference to the one before, which can't go back.
    pub absolute: bool,
    /// FLV tag body.
    pub body: Bytes,
}

/// So many bytes were read.
#[derive(Debug)]
pub struct Heard(usize);

/// An accepted publisher's connection. Dropping it closes it.
pub struct Client {
    socket: TcpStream,
    session: ClientSession,
    events: Vec<ClientSessionEvent>,
    buffer: Vec<u8>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl Client {
    /// Connects, and asks to publish.
    ///
    /// # Errors
    /// When nobody answers, or the answer is no.
    pub async fn open(target: &Target, announced: Announced) -> Result<Self> {
        timeout(PATIENCE, Self::ask(target, announced))
            .await
            .context("the server does not answer")
            .and_then(|opened| opened)
            .with_context(|| format!("publishing to {}", target.url))
    }

    async fn ask(target: &Target, announced: Announced) -> Result<Self> {
        let (address, app) = target
            .url
            .strip_prefix("rtmp://")
            .and_then(|rest| rest.split_once('/'))
            .context("no rtmp://host/app")?;
        let host = if address.contains(':') { address } else { &format!("{address}:{PORT}") };
        let mut socket = TcpStream::connect(host).await?;
        // What is measured is the server, not the sender's waiting for acknowledgements.
        socket.set_nodelay(true)?;
        shake_hands(&mut socket).await.context("handshake")?;
        let mut config = ClientSessionConfig::new();
        config.tc_url = Some(target.url.clone());
        let (session, first) = ClientSession::new(config)?;
        let (events, buffer) = (Vec::new(), vec![0; BUFFER]);
        let mut client = Self { socket, session, events, buffer };
        client.send(first).await?;
        let connect = client.session.request_connection(app.to_owned())?;
        client.send(vec![connect]).await?;
        match client.event().await? {
            ClientSessionEvent::ConnectionRequestAccepted => {}
            other => bail!("the answer to connect is {other:?}"),
        }
        let live = PublishRequestType::Live;
        let publish = client.session.request_publishing(target.name.clone(), live)?;
        client.send(vec![publish]).await?;
        match client.event().await? {
            ClientSessionEvent::PublishRequestAccepted => {}
            other => bail!("the answer to publish is {other:?}"),
        }
        let metadata = client.session.publish_metadata(&metadata(announced))?;
        client.send(vec![metadata]).await?;
        Ok(client)
    }

    /// The next event that is no acknowledgement.
    async fn event(&mut self) -> Result<ClientSessionEvent> {
        loop {
            while !self.events.is_empty() {
                let event = self.events.remove(0);
                if !matches!(event, ClientSessionEvent::AcknowledgementReceived { .. }) {
                    return Ok(event);
                }
            }
            let heard = self.read().await?;
            self.hear(heard).await?;
        }
    }

    /// Waits for something that the server says, to be given to [`Client::hear`]. It may be given up.
    ///
    /// # Errors
    /// When the connection is over.
    pub async fn read(&mut self) -> Result<Heard> {
        let length = self.socket.read(&mut self.buffer).await?;
        ensure!(length > 0, "the server closed the connection");
        Ok(Heard(length))
    }

    /// Takes what was read, and answers it.
    ///
    /// # Errors
    /// When the connection is over.
    pub async fn hear(&mut self, Heard(length): Heard) -> Result<()> {
        let heard = self.buffer.get(..length).unwrap_or_default();
        let results = self.session.handle_input(heard)?;
        self.send(results).await
    }

    /// Sends a message; says how many bytes that took.
    ///
    /// # Errors
    /// When the connection is over, or the server takes nothing.
    pub async fn publish(&mut self, message: Message) -> Result<u64> {
        let Message { video, stamp, absolute, body } = message;
        let time = RtmpTimestamp::new(stamp);
        // After a message that may be dropped the next one can't be told as a difference.
        let made = if video {
            self.session.publish_video_data(body, time, absolute)?
        } else {
            self.session.publish_audio_data(body, time, absolute)?
        };
        let ClientSessionResult::OutboundResponse(packet) = made else {
            bail!("the client made no message of a tag");
        };
        let writing = timeout(PATIENCE, self.socket.write_all(&packet.bytes));
        writing.await.context("the server does not read")??;
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

    /// Ends the publish as encoders do.
    ///
    /// # Errors
    /// When the connection is over already.
    pub async fn unpublish(mut self) -> Result<()> {
        let stop = self.session.stop_publishing()?;
        self.send(stop).await?;
        self.socket.shutdown().await?;
        Ok(())
    }

    /// Ends the connection with a reset: what the kernel has not sent yet is gone.
    ///
    /// # Errors
    /// When the kernel refuses to.
    pub fn reset(self) -> Result<()> {
        Ok(self.socket.set_zero_linger()?)
    }
}

async fn shake_hands(socket: &mut TcpStream) -> Result<()> {
    let mut handshake = Handshake::new(PeerType::Client);
    socket.write_all(&handshake.generate_outbound_p0_and_p1()?).await?;
    let mut buffer = vec![0; BUFFER];
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
fn metadata(announced: Announced) -> StreamMetadata {
    let mut metadata = StreamMetadata::new();
    metadata.video_width = Some(announced.width);
    metadata.video_height = Some(announced.height);
    metadata.video_codec_id = Some(7);
    metadata.video_frame_rate = Some(f32::from(announced.fps));
    metadata.audio_codec_id = Some(10);
    metadata.audio_sample_rate = Some(48_000);
    metadata.audio_channels = Some(2);
    metadata.audio_is_stereo = Some(true);
    metadata
}
