//! The administrators' API.

mod document;
mod kubernetes;
mod letting_in;
mod outage;
mod reading;
mod walk;
mod writing;

use millrace_platform::tokens::Scope;
use serde_json::Value;

use crate::support::{Answer, Replica, World};

/// A replica, and a token that is good for everything.
pub(crate) struct Office {
    pub(crate) world: World,
    pub(crate) replica: Replica,
    pub(crate) token: String,
}

impl Office {
    pub(crate) async fn open() -> Self {
        let world = World::with_postgres().await;
        let token = world.token(&Scope::ALL, "*").await;
        Self { replica: world.replica().await, world, token }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.replica.ask(&format!("/api/v1{path}"), &self.token).await
    }

    /// What is answered with 200.
    pub(crate) async fn read(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    }
}
