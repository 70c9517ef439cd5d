//! A wire to a server that can be cut, fall silent, and be mended.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes connections on to a server until something happens to it.
pub(crate) struct Wire {
    pub address: SocketAddr,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Whole,
    Cut,
    Silent,
}

impl Wire {
    /// A whole wire to `host:port`.
    pub(crate) async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, now) = watch::channel(State::Whole);
        let server = server.to_owned();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(pass(near, server.clone(), now.clone()));
            }
        });
        Self { address, state }
    }

    /// Ends all connections, and new ones as soon as they are made.
    pub(crate) fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// As if the server's machine vanished: connections stay open, these and
    /// new ones, and carry nothing ever again.
    pub(crate) fn hush(&self) {
        self.state.send_replace(State::Silent);
    }

    /// Passes new connections on again.
    pub(crate) fn mend(&self) {
        self.state.send_replace(State::Whole);
    }
}

async fn pass(mut near: TcpStream, server: String, mut now: watch::Receiver<State>) {
    let mut far = TcpStream::connect(server).await.unwrap();
    let state = tokio::select! {
        biased;
        state = now.wait_for(|state| *state != State::Whole) => state.map_or(State::Cut, |s| *s),
        _ = copy_bidirectional(&mut near, &mut far) => State::Cut,
    };
    if state == State::Silent {
        std::future::pending::<()>().await;
    }
}
