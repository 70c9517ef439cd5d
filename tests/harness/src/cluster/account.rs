//! A ServiceAccount with a token: who a program is that runs in the cluster. The API server
//! decides and the audit log tells by it, as for the operator in a real cluster.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::config::{AuthInfo, Kubeconfig};
use tokio::time::{sleep, timeout};

use super::{Cluster, client};

const RBAC: &str = "rbac.authorization.k8s.io";

/// A ServiceAccount, at first without any right.
pub struct Account {
    namespace: String,
    name: String,
    token: String,
    kubeconfig: Kubeconfig,
    client: Client,
    admin: Client,
}

impl Cluster {
    /// Makes a ServiceAccount and a token of it, good for two hours.
    ///
    /// # Errors
    /// When the API server refuses one of them.
    pub async fn account(&self, namespace: &str, name: &str) -> Result<Account> {
        let admin = self.client();
        let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), namespace);
        let account = ServiceAccount { metadata: named(name), ..ServiceAccount::default() };
        accounts
            .create(&PostParams::default(), &account)
            .await
            .with_context(|| format!("creating the ServiceAccount {namespace}/{name}"))?;
        let token = token(&accounts, name, Vec::new()).await?;
        let mut kubeconfig = self.kubeconfig.clone();
        for user in &mut kubeconfig.auth_infos {
            let token = Some(token.clone().into());
            user.auth_info = Some(AuthInfo { token, ..AuthInfo::default() });
        }
        let client = client(&kubeconfig).await?;
        Ok(Account {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            token,
            kubeconfig,
            client,
            admin,
        })
    }
}

impl Account {
    /// A client that is this account.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Its token, for the API server.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A token of it for somebody else.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn token_for(&self, audience: &str) -> Result<String> {
        let accounts = Api::namespaced(self.admin.clone(), &self.namespace);
        token(&accounts, &self.name, vec![audience.to_owned()]).await
    }

    /// As the API server and its audit log name it.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }

    /// Writes a kubeconfig for a program that is to be this account. `url` is another door to the
    /// API server, such as a proxy's `https://127.0.0.1:port`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_kubeconfig(&self, path: &Path, url: Option<&str>) -> Result<()> {
        let mut kubeconfig = self.kubeconfig.clone();
        if let Some(url) = url {
            for cluster in kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut())
            {
                cluster.server = Some(url.to_owned());
            }
        }
        // Every JSON text is a YAML text.
        std::fs::write(path, serde_json::to_vec(&kubeconfig)?)
            .with_context(|| format!("writing {}", path.display()))
    }

    /// Grants `rules` in one namespace, and waits until the API server goes by them.
    ///
    /// # Errors
    /// When the API server refuses the Role or its binding.
    pub async fn grant_in(&self, namespace: &str, rules: Vec<PolicyRule>) -> Result<()> {
        let name = self.unique();
        let role = Role { metadata: named(&name), rules: Some(rules.clone()) };
        let api: Api<Role> = Api::namespaced(self.admin.clone(), namespace);
        api.create(&PostParams::default(), &role).await.context("creating the Role")?;
        let binding = RoleBinding {
            metadata: named(&name),
            role_ref: reference("Role", &name),
            subjects: Some(vec![self.subject()]),
        };
        let bindings: Api<RoleBinding> = Api::namespaced(self.admin.clone(), namespace);
        bindings.create(&PostParams::default(), &binding).await.context("binding the Role")?;
        self.wait_for(Some(namespace), &rules).await
    }

    /// Grants `rules` in all namespaces and on what is in none, and waits likewise.
    ///
    /// # Errors
    /// When the API server refuses the ClusterRole or its binding.
    pub async fn grant_everywhere(&self, rules: Vec<PolicyRule>) -> Result<()> {
        let name = self.unique();
        let role =
            ClusterRole { metadata: named(&name), rules: Some(rules), ..ClusterRole::default() };
        let api: Api<ClusterRole> = Api::all(self.admin.clone());
        api.create(&PostParams::default(), &role).await.context("creating the ClusterRole")?;
        self.bind_cluster_role(&name).await
    }

    /// Binds a ClusterRole that is there, for all namespaces, and waits likewise.
    ///
    /// # Errors
    /// When the API server refuses the binding.
    pub async fn bind_cluster_role(&self, role: &str) -> Result<()> {
        let binding = ClusterRoleBinding {
            metadata: named(&self.unique()),
            role_ref: reference("ClusterRole", role),
            subjects: Some(vec![self.subject()]),
        };
        let bindings: Api<ClusterRoleBinding> = Api::all(self.admin.clone());
        bindings.create(&PostParams::default(), &binding).await.context("binding the role")?;
        let api: Api<ClusterRole> = Api::all(self.admin.clone());
        let rules = api.get(role).await?.rules.unwrap_or_default();
        self.wait_for(None, &rules).await
    }

    /// Until the API server has taken note of a new role, which it does in its own time. All rules
    /// of one come at once.
    async fn wait_for(&self, namespace: Option<&str>, rules: &[PolicyRule]) -> Result<()> {
        let Some(rule) = rules.iter().find(|rule| rule.resources.is_some()) else { return Ok(()) };
        let first = |list: &Option<Vec<String>>| list.iter().flatten().next().cloned();
        let full = first(&rule.resources).unwrap_or_default();
        let (resource, subresource) = full.split_once('/').unwrap_or((&full, ""));
        let attributes = ResourceAttributes {
            namespace: namespace.map(str::to_owned),
            verb: rule.verbs.first().cloned(),
            group: first(&rule.api_groups),
            resource: Some(resource.to_owned()),
            subresource: Some(subresource.to_owned()),
            name: first(&rule.resource_names),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client());
        let granted = async {
            loop {
                let answer = api.create(&PostParams::default(), &review).await?;
                if answer.status.is_some_and(|status| status.allowed) {
                    return anyhow::Ok(());
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(30), granted).await.context("a granted right does not come")?
    }

    /// Roles of all tests are in one cluster.
    fn unique(&self) -> String {
        format!("{}-{}-{:08x}", self.namespace, self.name, rand::random::<u32>())
    }

    fn subject(&self) -> Subject {
        Subject {
            kind: "ServiceAccount".to_owned(),
            name: self.name.clone(),
            namespace: Some(self.namespace.clone()),
            api_group: None,
        }
    }
}

async fn token(
    accounts: &Api<ServiceAccount>,
    name: &str,
    audiences: Vec<String>,
) -> Result<String> {
    let spec = TokenRequestSpec {
        audiences,
        expiration_seconds: Some(7_200),
        ..TokenRequestSpec::default()
    };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let made = accounts.create_token_request(name, &PostParams::default(), &request).await?;
    Ok(made.status.context("the token request has no status")?.token)
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}

fn reference(kind: &str, name: &str) -> RoleRef {
    RoleRef { api_group: RBAC.to_owned(), kind: kind.to_owned(), name: name.to_owned() }
}
