//! A wire to a server that can be cut and mended.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes connections on to a server until it is cut.
pub(crate) struct Wire {
    pub address: SocketAddr,
    whole: watch::Sender<bool>,
}

impl Wire {
    /// A whole wire to `host:port`.
    pub(crate) async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (whole, is_whole) = watch::channel(true);
        let server = server.to_owned();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(pass(near, server.clone(), is_whole.clone()));
            }
        });
        Self { address, whole }
    }

    /// Ends all connections, and new ones as soon as they are made.
    pub(crate) fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Passes new connections on again.
    pub(crate) fn mend(&self) {
        self.whole.send_replace(true);
    }
}

async fn pass(mut near: TcpStream, server: String, mut is_whole: watch::Receiver<bool>) {
    if !*is_whole.borrow() {
        return;
    }
    let mut far = TcpStream::connect(server).await.unwrap();
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        _ = is_whole.wait_for(|whole| !whole) => {}
    }
}
