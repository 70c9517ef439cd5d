//! Making, changing and deleting topics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigEntry, ConfigSource, NewTopic, ResourceSpecifier,
    TopicReplication, TopicResult,
};
use rdkafka::types::RDKafkaErrorCode;

use super::context::Context;
use super::{KafkaError, TopicSpec, client_config};
use crate::config::KafkaConfig;

/// Longest wait for the brokers.
const ASK: Duration = Duration::from_secs(5);

/// Longest wait until brokers tell of what was written.
const SETTLED: Duration = Duration::from_secs(2);

/// What a topic is set to.
pub type Settings = BTreeMap<String, String>;

/// What [`Admin::ensure`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ensured {
    /// Made it.
    Created,
    /// Changed its settings.
    Altered,
    /// Nothing: it was right.
    Unchanged,
}

/// An administrator's connection. Clones share it.
#[derive(Clone)]
pub struct Admin {
    client: Arc<AdminClient<Context>>,
    brokers: String,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Admin({})", self.brokers)
    }
}

impl Admin {
    /// Opens it. Asks no broker.
    pub fn open(config: &KafkaConfig) -> Result<Self, KafkaError> {
        let client = client_config(config).create_with_context(Context).map_err(|e| {
            KafkaError::new("open an administrator's client".to_owned(), &config.brokers, e)
        })?;
        Ok(Self { client: Arc::new(client), brokers: config.brokers.clone() })
    }

    fn options() -> AdminOptions {
        AdminOptions::new().request_timeout(Some(ASK)).operation_timeout(Some(ASK))
    }

    fn error(&self, what: &str, source: rdkafka::error::KafkaError) -> KafkaError {
        KafkaError::new(what.to_owned(), &self.brokers, source)
    }

    fn code(&self, what: &str, code: RDKafkaErrorCode) -> KafkaError {
        self.error(what, rdkafka::error::KafkaError::AdminOp(code))
    }

    /// Makes the topic, or brings the settings named in `spec` up to date. May
    /// be repeated; writes nothing when nothing differs.
    pub async fn ensure(&self, spec: &TopicSpec) -> Result<Ensured, KafkaError> {
        let results = self.ensure_all(std::slice::from_ref(spec)).await?;
        results.into_iter().next().unwrap_or_else(|| {
            Err(KafkaError::Lost { what: format!("make topic {} so", spec.name) })
        })
    }

    /// [`Admin::ensure`] of topics of different names, in a few requests for
    /// all; one result for each.
    ///
    /// # Errors
    /// Of the whole when Kafka can't be asked.
    pub async fn ensure_all(
        &self,
        specs: &[TopicSpec],
    ) -> Result<Vec<Result<Ensured, KafkaError>>, KafkaError> {
        let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        let there = self.describe_all(&names).await?;
        let (mut missing, mut other) = (Vec::new(), Vec::new());
        for (place, (spec, there)) in specs.iter().zip(&there).enumerate() {
            match there {
                Ok(None) => missing.push((place, spec)),
                Ok(Some(there)) if !spec.is_as_said_in(there) => other.push((place, spec)),
                _ => {}
            }
        }
        let mut results: Vec<_> =
            there.into_iter().map(|there| there.map(|_| Ensured::Unchanged)).collect();
        let mut note = |place: usize, result| {
            if let Some(of_topic) = results.get_mut(place) {
                *of_topic = result;
            }
        };
        for ((place, _), created) in missing.iter().zip(self.create(&missing).await?) {
            note(*place, created);
        }
        for ((place, _), altered) in other.iter().zip(self.alter(&other).await?) {
            note(*place, altered);
        }
        Ok(results)
    }

    /// Makes topics; one that another made meanwhile is right.
    async fn create(
        &self,
        wanted: &[(usize, &TopicSpec)],
    ) -> Result<Vec<Result<Ensured, KafkaError>>, KafkaError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let topics = wanted.iter().map(|(_, spec)| {
            let replication = TopicReplication::Fixed(spec.replication);
            let topic = NewTopic::new(&spec.name, spec.partitions, replication);
            spec.config.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
        });
        let topics: Vec<_> = topics.collect();
        let done = self.client.create_topics(&topics, &Self::options()).await;
        let done = done.map_err(|e| self.error(&named("create", wanted), e))?;
        let result = |(_, spec): &(usize, &TopicSpec), done: TopicResult| match done {
            Ok(_) => Ok(Ensured::Created),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(Ensured::Unchanged),
            Err((_, code)) => Err(self.code(&format!("create topic {}", spec.name), code)),
        };
        let results: Vec<_> = wanted.iter().zip(done).map(|(w, done)| result(w, done)).collect();
        self.wait_for(wanted, &results).await?;
        Ok(results)
    }

    /// Brokers learn of what was written a moment later: until then they would
    /// tell whoever asks next of what was before.
    async fn wait_for(
        &self,
        wanted: &[(usize, &TopicSpec)],
        results: &[Result<Ensured, KafkaError>],
    ) -> Result<(), KafkaError> {
        let written = wanted.iter().zip(results).filter(|(_, result)| result.is_ok());
        let written: Vec<_> = written.map(|((_, spec), _)| *spec).collect();
        let names: Vec<_> = written.iter().map(|spec| spec.name.as_str()).collect();
        let deadline = tokio::time::Instant::now() + SETTLED;
        while !names.is_empty() && tokio::time::Instant::now() < deadline {
            let there = self.describe_all(&names).await?;
            let is_so = |(spec, there): (&&TopicSpec, &Result<Option<Settings>, _>)| match there {
                Ok(there) => there.as_ref().is_some_and(|there| spec.is_as_said_in(there)),
                Err(_) => true,
            };
            if written.iter().zip(&there).all(is_so) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Changes the topics' settings to those wanted; what else they are set to
    /// stays.
    async fn alter(
        &self,
        wanted: &[(usize, &TopicSpec)],
    ) -> Result<Vec<Result<Ensured, KafkaError>>, KafkaError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        // A setting that is not sent along goes back to the broker's default.
        let names: Vec<&str> = wanted.iter().map(|(_, spec)| spec.name.as_str()).collect();
        let is_own = |entry: &ConfigEntry| entry.source == ConfigSource::DynamicTopic;
        let there: Result<Vec<_>, _> =
            self.describe_some(&names, is_own).await?.into_iter().collect();
        let mut settings: Vec<_> = there?.into_iter().map(Option::unwrap_or_default).collect();
        for ((_, spec), settings) in wanted.iter().zip(&mut settings) {
            settings.extend(spec.config.clone());
        }
        let changes = names.iter().zip(&settings).map(|(name, settings)| {
            let change = AlterConfig::new(ResourceSpecifier::Topic(name));
            settings.iter().fold(change, |change, (key, value)| change.set(key, value))
        });
        let changes: Vec<_> = changes.collect();
        let done = self.client.alter_configs(&changes, &Self::options()).await;
        let done = done.map_err(|e| self.error(&named("change", wanted), e))?;
        let results = wanted.iter().zip(done).map(|((_, spec), done)| match done {
            Ok(_) => Ok(Ensured::Altered),
            Err((_, code)) => Err(self.code(&format!("change topic {}", spec.name), code)),
        });
        let results: Vec<_> = results.collect();
        self.wait_for(wanted, &results).await?;
        Ok(results)
    }

    /// The topic's settings, the broker's defaults with them; none when there
    /// is no such topic.
    pub async fn describe(&self, topic: &str) -> Result<Option<Settings>, KafkaError> {
        let found = self.describe_all(&[topic]).await?.into_iter().next();
        found.unwrap_or_else(|| Err(KafkaError::Lost { what: format!("describe topic {topic}") }))
    }

    /// [`Admin::describe`] of several topics in one request, in their order.
    async fn describe_all(
        &self,
        topics: &[&str],
    ) -> Result<Vec<Result<Option<Settings>, KafkaError>>, KafkaError> {
        self.describe_some(topics, |_| true).await
    }

    /// The same, of the settings that `wanted` says.
    async fn describe_some(
        &self,
        topics: &[&str],
        wanted: impl Fn(&ConfigEntry) -> bool,
    ) -> Result<Vec<Result<Option<Settings>, KafkaError>>, KafkaError> {
        let asked: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
        let done = self.client.describe_configs(&asked, &Self::options()).await;
        let what = || format!("describe {} topics", topics.len());
        let done = done.map_err(|e| self.error(&what(), e))?;
        if done.len() != topics.len() {
            return Err(KafkaError::Lost { what: what() });
        }
        let found = topics.iter().zip(done).map(|(topic, found)| match found {
            // That is how the client tells of a topic that does not exist.
            Ok(found) if found.entries.is_empty() => Ok(None),
            Ok(found) => {
                let entries = found.entries.into_iter().filter(&wanted);
                Ok(Some(entries.filter_map(|e| Some((e.name, e.value?))).collect()))
            }
            Err(RDKafkaErrorCode::UnknownTopicOrPartition) => Ok(None),
            Err(code) => Err(self.code(&format!("describe topic {topic}"), code)),
        });
        Ok(found.collect())
    }

    /// Deletes a topic; none is fine.
    pub async fn delete(&self, topic: &str) -> Result<(), KafkaError> {
        let what = format!("delete topic {topic}");
        let results = self
            .client
            .delete_topics(&[topic], &Self::options())
            .await
            .map_err(|e| self.error(&what, e))?;
        match results.into_iter().next() {
            Some(Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition))) => Ok(()),
            Some(Err((_, code))) => Err(self.code(&what, code)),
            None => Err(KafkaError::Lost { what }),
        }
    }
}

/// For messages: one topic's name, or how many they are.
fn named(verb: &str, wanted: &[(usize, &TopicSpec)]) -> String {
    match wanted {
        [(_, spec)] => format!("{verb} topic {}", spec.name),
        several => format!("{verb} {} topics", several.len()),
    }
}
