//! The settings of Kafka.

use std::path::PathBuf;

use super::env::{Env, Problem};
use super::secret::Secret;
use super::setting::Setting;

/// Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    /// `KAFKA_BROKERS`: `host:port,…`.
    pub brokers: String,
    /// How connections are protected; none: they are not.
    pub tls: Option<KafkaTls>,
    /// How to log in; none: not at all.
    pub login: Option<KafkaLogin>,
}

/// TLS with the brokers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaTls {
    /// `KAFKA_CA_FILE`: certificates (PEM) that vouch for the brokers, in
    /// place of the machine's.
    pub ca_file: Option<PathBuf>,
}

/// SASL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaLogin {
    /// `KAFKA_SASL_MECHANISM`.
    pub mechanism: Mechanism,
    /// `KAFKA_SASL_USERNAME`.
    pub username: String,
    /// `KAFKA_SASL_PASSWORD`.
    pub password: Secret,
}

/// How a name and a password are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// As they are: TLS must hide them.
    Plain,
    /// RFC 7677.
    ScramSha256,
    /// The same with a longer hash.
    ScramSha512,
}

impl Mechanism {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl Setting for Mechanism {
    const EXPECTED: &'static str = "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512";
    fn parse(text: &str) -> Option<Self> {
        [Self::Plain, Self::ScramSha256, Self::ScramSha512]
            .into_iter()
            .find(|mechanism| mechanism.as_str() == text)
    }
}

impl KafkaConfig {
    /// From the environment.
    pub fn read(env: &Env) -> Result<Self, Problem> {
        let brokers = env.required::<Brokers>("KAFKA_BROKERS");
        let tls = env.or("KAFKA_TLS", false);
        let ca_file = env.optional("KAFKA_CA_FILE");
        let login = login(env);
        let ca_file = ca_file?;
        Ok(Self { brokers: brokers?.0, tls: tls?.then_some(KafkaTls { ca_file }), login: login? })
    }
}

/// All three, or none.
fn login(env: &Env) -> Result<Option<KafkaLogin>, Problem> {
    const NAMES: [&str; 3] = ["KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"];
    let [mechanism, username, password] = NAMES;
    if NAMES.iter().filter(|name| env.text(name).is_some()).count() == 0 {
        return Ok(None);
    }
    let (mechanism, username) = (env.required(mechanism), env.required(username));
    let password = env.required(password);
    Ok(Some(KafkaLogin { mechanism: mechanism?, username: username?, password: password? }))
}

struct Brokers(String);

impl Setting for Brokers {
    const EXPECTED: &'static str = "host:port,…";
    fn parse(text: &str) -> Option<Self> {
        let one = |broker: &str| {
            broker.trim().rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0)
            })
        };
        text.split(',').all(one).then(|| Self(text.replace(' ', "")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<KafkaConfig, Problem> {
        let brokers = [("KAFKA_BROKERS", "a:1")];
        KafkaConfig::read(&Env::from_pairs(brokers.into_iter().chain(pairs.iter().copied())))
    }

    #[test]
    fn brokers_are_hosts_with_ports() {
        let read = |text: &str| KafkaConfig::read(&Env::from_pairs([("KAFKA_BROKERS", text)]));
        assert_eq!(read("a:1, b:2").unwrap().brokers, "a:1,b:2");
        for bad in ["a", "a:", ":1", "a:0", "a:1,"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn certificates_matter_with_tls_only() {
        let ca = ("KAFKA_CA_FILE", "/ca");
        assert_eq!(read(&[ca]).unwrap().tls, None);
        let tls = read(&[ca, ("KAFKA_TLS", "true")]).unwrap().tls.unwrap();
        assert_eq!(tls.ca_file, Some("/ca".into()));
    }

    #[test]
    fn a_login_is_whole_or_the_problem_names_what_lacks_and_no_password() {
        let all = [
            ("KAFKA_SASL_MECHANISM", "PLAIN"),
            ("KAFKA_SASL_USERNAME", "me"),
            ("KAFKA_SASL_PASSWORD", "hunter2"),
        ];
        assert_eq!(read(&[]).unwrap().login, None);
        assert_eq!(read(&all).unwrap().login.unwrap().mechanism, Mechanism::Plain);
        for (left_out, (name, _)) in all.iter().enumerate() {
            let mut some = all.to_vec();
            some.remove(left_out);
            let problem = read(&some).unwrap_err().to_string();
            assert!(problem.contains(name) && !problem.contains("hunter2"), "{problem}");
        }
        let wrong = read(&[("KAFKA_SASL_MECHANISM", "GSSAPI"), all[1], all[2]]).unwrap_err();
        assert!(wrong.to_string().contains("SCRAM-SHA-512"), "{wrong}");
    }
}
