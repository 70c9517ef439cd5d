//! The operator's rights as the chart has them, and what may never be among them.

use anyhow::{Context, Result};
use k8s_openapi::api::rbac::v1::PolicyRule;
use serde::de::DeserializeOwned;

use super::{Account, Cluster};
use crate::repo;

/// The rules of charts/millrace/files/rbac, by where they hold.
#[derive(Debug, Clone)]
pub struct OperatorRules {
    /// In every namespace, and on what is in none.
    pub everywhere: Vec<PolicyRule>,
    /// In the workers namespace.
    pub workers: Vec<PolicyRule>,
    /// In the operator's own namespace.
    pub own: Vec<PolicyRule>,
}

impl OperatorRules {
    /// As the chart has them.
    ///
    /// # Errors
    /// When a file is missing or no list of rules.
    pub fn of_chart() -> Result<Self> {
        Ok(Self {
            everywhere: read("everywhere.yaml")?,
            workers: read("workers.yaml")?,
            own: read("own.yaml")?,
        })
    }

    /// Those of `everywhere` that Roles can give, where streams are: with `watchNamespaces`.
    pub fn in_streams(&self) -> impl Iterator<Item = &PolicyRule> {
        self.everywhere.iter().filter(|rule| !is_about(rule, "nodes"))
    }

    /// Those of them that are about children, which are in the workers namespace too: Secrets and
    /// Services.
    pub fn of_children(&self) -> impl Iterator<Item = &PolicyRule> {
        self.in_streams().filter(|rule| is_of_core(rule))
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &PolicyRule> {
        self.everywhere.iter().chain(&self.workers).chain(&self.own)
    }
}

impl Cluster {
    /// A ServiceAccount in `own` with exactly the operator's rights: who to run an operator as
    /// whose workers are in `workers`.
    ///
    /// # Errors
    /// When the API server refuses something of it.
    pub async fn operator_account(&self, own: &str, workers: &str) -> Result<Account> {
        let rules = OperatorRules::of_chart()?;
        let account = self.account(own, "millrace-operator").await?;
        account.grant_everywhere(rules.everywhere).await?;
        account.grant_in(workers, rules.workers).await?;
        account.grant_in(own, rules.own).await?;
        Ok(account)
    }

    /// The same with Roles alone, as the chart binds them with `watchNamespaces`: in the namespace
    /// of workers and the operator itself and in one of streams. Nothing that is in no namespace can
    /// be seen.
    ///
    /// # Errors
    /// As [`operator_account`](Self::operator_account).
    pub async fn operator_account_within(&self, workers: &str, streams: &str) -> Result<Account> {
        let rules = OperatorRules::of_chart()?;
        let account = self.account(workers, "millrace-operator").await?;
        account.grant_in(streams, rules.in_streams().cloned().collect()).await?;
        let children = rules.of_children().chain(&rules.workers).chain(&rules.own);
        account.grant_in(workers, children.cloned().collect()).await?;
        Ok(account)
    }
}

/// What is too much in a rule: wildcards, and reading Secrets that nobody named.
pub fn excesses(rule: &PolicyRule) -> Vec<String> {
    let lists = [&rule.api_groups, &rule.resources, &rule.non_resource_urls];
    let mut words = lists.into_iter().flatten().flatten().chain(&rule.verbs);
    let mut found = Vec::new();
    if words.any(|word| word.contains('*')) {
        found.push(format!("a wildcard: {rule:?}"));
    }
    let secrets = rule.resources.iter().flatten().any(|resource| resource == "secrets");
    for verb in ["list", "watch", "deletecollection"] {
        if secrets && rule.verbs.iter().any(|granted| granted == verb) {
            found.push(format!("{verb} of Secrets"));
        }
    }
    // Who may do these gives himself any right.
    for verb in ["escalate", "bind", "impersonate"] {
        if rule.verbs.iter().any(|granted| granted == verb) {
            found.push(format!("{verb}: {rule:?}"));
        }
    }
    found
}

fn is_about(rule: &PolicyRule, resource: &str) -> bool {
    rule.resources.iter().flatten().any(|one| one == resource)
}

fn is_of_core(rule: &PolicyRule) -> bool {
    rule.api_groups.iter().flatten().any(String::is_empty)
}

fn read<T: DeserializeOwned>(name: &str) -> Result<T> {
    let path = repo::root().join("charts/millrace/files/rbac").join(name);
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    serde_yaml::from_str(&text).with_context(|| format!("in {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(resource: &str, verb: &str) -> PolicyRule {
        PolicyRule {
            api_groups: Some(vec![String::new()]),
            resources: Some(vec![resource.to_owned()]),
            verbs: vec![verb.to_owned()],
            ..PolicyRule::default()
        }
    }

    #[test]
    fn wildcards_and_reading_all_secrets_are_too_much() {
        for (resource, verb) in [
            ("pods", "*"),
            ("*", "get"),
            ("pods/*", "get"),
            ("secrets", "list"),
            ("secrets", "watch"),
        ] {
            assert_eq!(excesses(&rule(resource, verb)).len(), 1, "{verb} {resource}");
        }
        assert_eq!(excesses(&rule("secrets", "get")), Vec::<String>::new());
    }

    #[test]
    fn the_operator_is_granted_nothing_that_is_too_much() {
        let rules = OperatorRules::of_chart().unwrap();
        let found: Vec<String> = rules.all().flat_map(excesses).collect();
        assert_eq!(found, Vec::<String>::new());
        assert!(rules.all().count() > 5);
    }
}
