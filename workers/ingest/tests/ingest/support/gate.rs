//! A server's port that can be closed and opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::{TcpListener, TcpStream};

use super::World;

/// Everything that connects while it is closed is let go at once.
pub(crate) struct Gate {
    address: String,
    open: Arc<AtomicBool>,
}

impl Gate {
    /// A closed one in front of this `host:port`.
    pub(crate) async fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let open = Arc::new(AtomicBool::new(false));
        let (server, opened) = (server.to_owned(), Arc::clone(&open));
        tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                if opened.load(Ordering::SeqCst) {
                    let mut far = TcpStream::connect(&server).await.unwrap();
                    tokio::spawn(async move {
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    });
                }
            }
        });
        Self { address, open }
    }

    /// A closed one in front of a test's database, and the URL through it.
    pub(crate) async fn of_postgres(world: &World) -> (Self, String) {
        let server = world.database.rsplit_once('@').unwrap().1.split_once('/').unwrap().0;
        let gate = Self::before(server).await;
        let url = gate.url(&world.database);
        (gate, url)
    }

    /// Lets in who comes from now on.
    pub(crate) fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }

    /// The URL of a server, through the gate.
    pub(crate) fn url(&self, url: &str) -> String {
        let (scheme, rest) = url.split_once("//").unwrap();
        let (host, path) = rest.split_once('/').unwrap();
        let user = host.split_once('@').map_or("", |(user, _)| user);
        format!("{scheme}//{user}@{}/{path}", self.address)
    }
}
