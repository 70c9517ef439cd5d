//! A publisher: another implementation's RTMP client on a socket.

use std::time::Duration;

use bytes::Bytes;
use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rml_rtmp::sessions::{
    ClientSession, ClientSessionConfig, ClientSessionEvent, ClientSessionResult, PublishRequestType,
};
use rml_rtmp::time::RtmpTimestamp;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// An AVCDecoderConfigurationRecord in a tag body; its content is of no
/// interest to ingest.
/// 854x480, High, level 3.1.
pub(crate) const VIDEO_CONFIG: &[u8] = &[
    0x17, 0x00, 0x00, 0x00, 0x00, 0x01, 0x64, 0x00, 0x1f, 0xff, 0xe1, 0x00, 0x19, 0x67, 0x64, 0x00,
    0x1f, 0xac, 0xd9, 0x40, 0xd8, 0x3d, 0xe6, 0xf0, 0x11, 0x00, 0x00, 0x03, 0x03, 0xe9, 0x00, 0x00,
    0xea, 0x60, 0x0f, 0x18, 0x31, 0x96, 0x01, 0x00, 0x06, 0x68, 0xea, 0xe3, 0xcb, 0x22, 0xc0, 0xfd,
    0xf8, 0xf8, 0x00,
];
/// AAC-LC, 44.1 kHz, stereo.
pub(crate) const AUDIO_CONFIG: &[u8] = &[0xaf, 0, 0x12, 0x10];

/// What RTMP is spoken over.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// A connected client.
pub(crate) struct Publisher {
    socket: Box<dyn Socket>,
    session: ClientSession,
    events: Vec<ClientSessionEvent>,
}

/// How the server answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Publish at will.
    Accepted(Box<Publisher>),
    /// An `onStatus` error or a failed connect: its code or description.
    Refused(String),
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("events", &self.events).finish_non_exhaustive()
    }
}

impl Publisher {
    /// Connects to an application and asks to publish.
    pub(crate) async fn ask(address: &str, app: &str, name: &str) -> Answer {
        Self::ask_over(TcpStream::connect(address).await.unwrap(), app, name).await
    }

    /// The same, over a connection there is.
    pub(crate) async fn ask_over(socket: impl Socket + 'static, app: &str, name: &str) -> Answer {
        let mut client = Self::shake_hands(Box::new(socket)).await;
        let connect = client.session.request_connection(app.to_owned()).unwrap();
        client.send(vec![connect]).await;
        match client.event().await {
            Some(ClientSessionEvent::ConnectionRequestAccepted) => {}
            Some(ClientSessionEvent::ConnectionRequestRejected { description }) => {
                return Answer::Refused(description);
            }
            other => panic!("the answer to connect is {other:?}"),
        }
        let publish =
            client.session.request_publishing(name.to_owned(), PublishRequestType::Live).unwrap();
        client.send(vec![publish]).await;
        match client.event().await {
            Some(ClientSessionEvent::PublishRequestAccepted) => Answer::Accepted(Box::new(client)),
            Some(ClientSessionEvent::UnhandleableOnStatusCode { code }) => Answer::Refused(code),
            other => panic!("the answer to publish is {other:?}"),
        }
    }

    /// Publishes, or panics with the refusal.
    pub(crate) async fn connect(address: &str, key: &str) -> Self {
        match Self::ask(address, "live", key).await {
            Answer::Accepted(publisher) => *publisher,
            Answer::Refused(reason) => panic!("refused: {reason}"),
        }
    }

    async fn shake_hands(mut socket: Box<dyn Socket>) -> Self {
        let mut handshake = Handshake::new(PeerType::Client);
        socket.write_all(&handshake.generate_outbound_p0_and_p1().unwrap()).await.unwrap();
        let mut buffer = [0; 4096];
        loop {
            let length = socket.read(&mut buffer).await.unwrap();
            assert_ne!(length, 0, "closed inside the handshake");
            match handshake.process_bytes(&buffer[..length]).unwrap() {
                HandshakeProcessResult::InProgress { response_bytes } => {
                    socket.write_all(&response_bytes).await.unwrap();
                }
                HandshakeProcessResult::Completed { response_bytes, remaining_bytes } => {
                    assert!(remaining_bytes.is_empty());
                    socket.write_all(&response_bytes).await.unwrap();
                    break;
                }
            }
        }
        let (session, first) = ClientSession::new(ClientSessionConfig::new()).unwrap();
        let mut client = Self { socket, session, events: Vec::new() };
        client.send(first).await;
        client
    }

    async fn send(&mut self, results: Vec<ClientSessionResult>) {
        for result in results {
            match result {
                ClientSessionResult::OutboundResponse(packet) => {
                    // The server may have said goodbye; reading tells how.
                    let _ = self.socket.write_all(&packet.bytes).await;
                    // TLS may hold back the end of it.
                    let _ = self.socket.flush().await;
                }
                ClientSessionResult::RaisedEvent(event) => self.events.push(event),
                ClientSessionResult::UnhandleableMessageReceived(_) => {}
            }
        }
    }

    /// The next event that is no acknowledgement; `None` when the server has
    /// closed the connection.
    pub(crate) async fn event(&mut self) -> Option<ClientSessionEvent> {
        let mut buffer = [0; 4096];
        loop {
            while !self.events.is_empty() {
                let event = self.events.remove(0);
                if !matches!(event, ClientSessionEvent::AcknowledgementReceived { .. }) {
                    return Some(event);
                }
            }
            let read = tokio::time::timeout(Duration::from_secs(30), self.socket.read(&mut buffer));
            match read.await.expect("the server says nothing") {
                Ok(0) | Err(_) => return None,
                Ok(length) => {
                    let results = self.session.handle_input(&buffer[..length]).unwrap();
                    self.send(results).await;
                }
            }
        }
    }

    /// The code of the next status; `None` when the connection is closed first.
    pub(crate) async fn status(&mut self) -> Option<String> {
        loop {
            if let ClientSessionEvent::UnhandleableOnStatusCode { code } = self.event().await? {
                return Some(code);
            }
        }
    }

    /// Asks for an acknowledgement of each thing read (RTMP 1.0 §5.4.4).
    pub(crate) async fn wants_acknowledgements(&mut self) {
        let window = [[2, 0, 0, 0], [0, 0, 4, 5], [0, 0, 0, 0], 1_u32.to_be_bytes()].concat();
        self.socket.write_all(&window).await.unwrap();
    }

    /// Sends a video tag body.
    pub(crate) async fn video(&mut self, time_ms: u32, body: impl Into<Bytes>) {
        let stamp = RtmpTimestamp::new(time_ms);
        let sent = self.session.publish_video_data(body.into(), stamp, false).unwrap();
        self.send(vec![sent]).await;
    }

    /// Sends an audio tag body.
    pub(crate) async fn audio(&mut self, time_ms: u32, body: impl Into<Bytes>) {
        let stamp = RtmpTimestamp::new(time_ms);
        let sent = self.session.publish_audio_data(body.into(), stamp, false).unwrap();
        self.send(vec![sent]).await;
    }

    /// Both configurations.
    pub(crate) async fn configs(&mut self) {
        self.video(0, Bytes::from_static(VIDEO_CONFIG)).await;
        self.audio(0, Bytes::from_static(AUDIO_CONFIG)).await;
    }

    /// Groups of pictures of five frames at 25 frames a second, a sound frame
    /// with each picture.
    pub(crate) async fn gops(&mut self, first: u32, count: u32) {
        for frame in first * 5..(first + count) * 5 {
            let kind = if frame % 5 == 0 { 0x17 } else { 0x27 };
            let number = frame.to_be_bytes();
            self.video(frame * 40, [&[kind, 1, 0, 0, 0], number.as_slice()].concat()).await;
            self.audio(frame * 40, [&[0xaf, 1], number.as_slice()].concat()).await;
        }
    }

    /// Ends the publish as encoders do.
    pub(crate) async fn unpublish(mut self) {
        let stop = self.session.stop_publishing().unwrap();
        self.send(stop).await;
    }
}
