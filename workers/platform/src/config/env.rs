//! The environment as a set of named texts, and the report of what is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use super::setting::Setting;

/// One setting that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {found}, expected {expected}")]
pub struct Problem {
    /// The variable.
    pub name: String,
    /// What was there; never the value of a secret.
    pub found: String,
    /// What would be right.
    pub expected: String,
}

/// Everything that is wrong with the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// In the order the settings were read; at least one.
    pub problems: Vec<Problem>,
}

impl std::error::Error for ConfigError {}

impl Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wrong settings in the environment:")?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

/// The environment. An empty variable counts as unset.
///
/// Each reader returns its value or the problem with it, and notes the
/// problem, so that one run reports all of them:
///
/// ```
/// use millrace_platform::config::{ConfigError, Env, KafkaConfig};
///
/// struct Config { kafka: KafkaConfig, window_seconds: u64 }
///
/// fn read(env: &Env) -> Result<Config, ConfigError> {
///     let kafka = KafkaConfig::read(env);
///     let window_seconds = env.within("RECONNECT_WINDOW_SECONDS", 60, 1..=3600);
///     env.report()?;
///     Ok(Config { kafka: kafka?, window_seconds: window_seconds? })
/// }
///
/// let env = Env::from_pairs([("KAFKA_BROKERS", ""), ("RECONNECT_WINDOW_SECONDS", "soon")]);
/// let error = read(&env).err().unwrap();
/// assert_eq!(error.problems.len(), 2);
/// ```
#[derive(Clone)]
pub struct Env {
    variables: Arc<BTreeMap<String, String>>,
    problems: Arc<Mutex<Vec<Problem>>>,
    asked: Arc<Mutex<BTreeSet<String>>>,
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The values may be secrets.
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

impl Env {
    /// Of this process. Variables that are not UTF-8 are left out.
    pub fn from_process() -> Self {
        Self::from_pairs(
            std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))),
        )
    }

    /// Of these pairs, for tests and for `millrace-operator local`.
    pub fn from_pairs<K: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let variables = pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        Self { variables: Arc::new(variables), problems: Arc::default(), asked: Arc::default() }
    }

    /// The text of a variable, if it is set and not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        self.variables.get(name).map(|text| text.trim()).filter(|text| !text.is_empty())
    }

    /// A variable that must be set.
    pub fn required<T: Setting>(&self, name: &str) -> Result<T, Problem> {
        match self.optional(name)? {
            Some(value) => Ok(value),
            None => Err(self.note(name, "not set", T::EXPECTED)),
        }
    }

    /// A variable that may be unset.
    pub fn optional<T: Setting>(&self, name: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let problem = || {
            let found =
                if T::SECRET { "a value that is not right".to_owned() } else { quote(text) };
            self.note(name, found, T::EXPECTED)
        };
        T::parse(text).map(Some).ok_or_else(problem)
    }

    /// A variable with a default.
    pub fn or<T: Setting>(&self, name: &str, default: T) -> Result<T, Problem> {
        Ok(self.optional(name)?.unwrap_or(default))
    }

    /// A number with a default and bounds.
    pub fn within<T>(&self, name: &str, default: T, range: RangeInclusive<T>) -> Result<T, Problem>
    where
        T: Setting + PartialOrd + Display,
    {
        let value = self.or(name, default)?;
        if range.contains(&value) {
            return Ok(value);
        }
        let expected = format!("{} to {}", range.start(), range.end());
        Err(self.note(name, quote(&value.to_string()), expected))
    }

    /// Where the listener of this name listens: `LISTEN_ADDRESS` and
    /// `<NAME>_PORT`.
    pub fn listen(&self, name: &str, default_port: u16) -> Result<SocketAddr, Problem> {
        let address = self.or("LISTEN_ADDRESS", IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let port = self.or(&format!("{}_PORT", name.to_ascii_uppercase()), default_port);
        Ok(SocketAddr::new(address?, port?))
    }

    /// Notes a problem found by the caller, for rules over several settings.
    pub fn note(
        &self,
        name: &str,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Problem {
        let problem =
            Problem { name: name.to_owned(), found: found.into(), expected: expected.into() };
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        if !problems.contains(&problem) {
            problems.push(problem.clone());
        }
        problem
    }

    /// The names of all variables asked for so far, set or not: what a program
    /// reads, to compare with what it is given.
    pub fn asked(&self) -> BTreeSet<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All problems noted so far.
    pub fn report(&self) -> Result<(), ConfigError> {
        let problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if problems.is_empty() { Ok(()) } else { Err(ConfigError { problems }) }
    }
}

/// At most a line of what was found.
fn quote(text: &str) -> String {
    format!("found {:?}", text.chars().take(80).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DatabaseConfig, RedisConfig, Secret, ServiceUrl};

    #[test]
    fn every_problem_is_in_one_report() {
        let env = Env::from_pairs([("RTMP_PORT", "99999"), ("LISTEN_ADDRESS", "here")]);
        drop(env.listen("rtmp", 1935));
        drop(env.required::<String>("STREAM_ID"));
        let report = env.report().unwrap_err().to_string();
        for part in ["RTMP_PORT: found \"99999\"", "LISTEN_ADDRESS", "STREAM_ID: not set"] {
            assert!(report.contains(part), "{report}");
        }
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let env = Env::from_pairs([("THREADS", " ")]);
        assert_eq!(env.or("THREADS", 2u32), Ok(2));
    }

    #[test]
    fn a_number_out_of_bounds_names_the_bounds() {
        let env = Env::from_pairs([("THREADS", "0")]);
        let problem = env.within("THREADS", 2u32, 1..=64).unwrap_err();
        assert_eq!(problem.to_string(), "THREADS: found \"0\", expected 1 to 64");
    }

    #[test]
    fn what_was_asked_for_is_known_whether_it_was_set_or_not() {
        let env = Env::from_pairs([("THREADS", "2"), ("NEVER", "asked")]);
        drop(env.or("THREADS", 1u32));
        drop(env.listen("health", 1));
        let asked: Vec<String> = env.asked().into_iter().collect();
        assert_eq!(asked, ["HEALTH_PORT", "LISTEN_ADDRESS", "THREADS"]);
    }

    #[test]
    fn no_secret_reaches_the_report_or_debug() {
        let env = Env::from_pairs([
            ("DATABASE_URL", "mysql://u:hunter2@db/x"),
            ("REDIS_URL", "redis://:hunter2@r:1/7"),
        ]);
        drop(DatabaseConfig::read(&env));
        drop(RedisConfig::read(&env));
        let report = env.report().unwrap_err().to_string();
        assert!(report.contains("DATABASE_URL") && report.contains("REDIS_URL"), "{report}");
        let shown = format!("{report}{env:?}{:?}", Secret::new("hunter2"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        let url = ServiceUrl::parse("postgres://u:hunter2@db:5432/x?password=hunter2").unwrap();
        assert_eq!(url.to_string(), "postgres://u@db:5432/x");
        assert!(!format!("{url:?}").contains("hunter2"));
        assert!(url.expose().contains("hunter2"));
    }
}
