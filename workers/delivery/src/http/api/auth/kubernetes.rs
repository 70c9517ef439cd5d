//! Tokens of Kubernetes: the API server says whose they are (TokenReview) and
//! what they may do to LiveStreams (SubjectAccessReview).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};
use kube::{Client, Config, Error};
use sha2::{Digest, Sha256};

use super::brief::Brief;
use super::caller::{Act, Target};
use super::pace::Pace;

/// Of LiveStreams.
const GROUP: &str = "millrace.dev";
const RESOURCE: &str = "livestreams";

/// The API server answers within this.
const ANSWER: Duration = Duration::from_secs(5);

/// A client of the API server of the Pod this runs in; none elsewhere, and in a
/// Pod without a token.
///
/// # Errors
/// When the certificates of the Pod are none.
pub fn in_cluster() -> Result<Option<Client>, Error> {
    let Ok(mut config) = Config::incluster() else {
        tracing::info!("not in a Pod with a token: tokens of Kubernetes are not known");
        return Ok(None);
    };
    config.connect_timeout = Some(ANSWER);
    config.read_timeout = Some(ANSWER);
    config.write_timeout = Some(ANSWER);
    // Whoever waits for the answer can ask again.
    config.default_retry = false;
    Client::try_from(config).map(Some)
}

/// Somebody the API server knows.
#[derive(Debug)]
pub struct User {
    /// The name.
    pub name: String,
    info: UserInfo,
}

/// A question that remembered answers may answer: user, verb, namespace, name.
type Question = (String, Act, Option<String>, Option<String>);

/// Asks the API server.
#[derive(Debug)]
pub struct Kubernetes {
    reviews: Api<TokenReview>,
    accesses: Api<SubjectAccessReview>,
    audiences: Option<Vec<String>>,
    users: Brief<[u8; 32], Option<Arc<User>>>,
    allowed: Brief<Question, bool>,
    pace: Pace,
}

impl Kubernetes {
    /// Tokens must be for one of these audiences; for the API server where
    /// there are none.
    pub fn new(client: Client, audiences: Vec<String>) -> Self {
        Self {
            reviews: Api::all(client.clone()),
            accesses: Api::all(client),
            audiences: Some(audiences).filter(|all| !all.is_empty()),
            users: Brief::new(),
            allowed: Brief::new(),
            pace: Pace::default(),
        }
    }

    /// Whose token it is; none if it is nobody's.
    pub async fn user(&self, token: &str, from: IpAddr) -> Result<Option<Arc<User>>, Arc<Error>> {
        let hash: [u8; 32] = Sha256::digest(token).into();
        self.users.get(hash, async { self.review(token, from).await }).await
    }

    async fn review(&self, token: &str, from: IpAddr) -> Result<Option<Arc<User>>, Error> {
        let turn = self.pace.turn(from).await;
        let spec =
            TokenReviewSpec { token: Some(token.to_owned()), audiences: self.audiences.clone() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let status = self.reviews.create(&PostParams::default(), &review).await?.status;
        let status = status.unwrap_or_default();
        let for_us = self.audiences.is_none() || status.audiences.is_some_and(|a| !a.is_empty());
        let info = status.user.filter(|_| status.authenticated == Some(true) && for_us);
        let user = info.and_then(|info| Some(User { name: info.username.clone()?, info }));
        if user.is_none() {
            turn.failed();
        }
        Ok(user.map(Arc::new))
    }

    /// Whether the user may.
    pub async fn allows(
        &self,
        user: &User,
        act: Act,
        target: Target<'_>,
    ) -> Result<bool, Arc<Error>> {
        let (namespace, name) = match target {
            Target::Stream(stream) => (Some(stream.namespace()), Some(stream.name())),
            Target::Namespace(namespace) => (Some(namespace), None),
            Target::Everything => (None, None),
        };
        let (namespace, name) = (namespace.map(str::to_owned), name.map(str::to_owned));
        let question = (user.key(), act, namespace.clone(), name.clone());
        let attributes = ResourceAttributes {
            group: Some(GROUP.to_owned()),
            resource: Some(RESOURCE.to_owned()),
            verb: Some(act.verb().to_owned()),
            namespace,
            name,
            ..ResourceAttributes::default()
        };
        self.allowed.get(question, self.access(user, attributes)).await
    }

    async fn access(&self, user: &User, attributes: ResourceAttributes) -> Result<bool, Error> {
        let UserInfo { extra, groups, uid, username } = user.info.clone();
        let spec = SubjectAccessReviewSpec {
            extra,
            groups,
            uid,
            user: username,
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let status = self.accesses.create(&PostParams::default(), &review).await?.status;
        Ok(status.is_some_and(|status| status.allowed && status.denied != Some(true)))
    }
}

impl User {
    /// Two users of one name may be in other groups.
    fn key(&self) -> String {
        let mut hash = Sha256::new();
        // Maps are in order: the same user gives the same text.
        hash.update(serde_json::to_vec(&self.info).unwrap_or_default());
        hex::encode(hash.finalize())
    }
}

/// A text that may be a token of Kubernetes (RFC 7519 §3): what is none is not
/// asked about.
pub fn looks_like_token(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() == 3 && parts.iter().all(|part| !part.is_empty() && part.bytes().all(fits))
}
