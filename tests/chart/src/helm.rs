//! helm as a program, and what it renders.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The release's name in all tests.
pub const RELEASE: &str = "millrace";
/// The version helm takes the cluster for, where it asks none.
const KUBERNETES: &str = "1.35.0";

/// The program that `TEST_HELM` names.
#[derive(Debug, Clone)]
pub struct Helm {
    program: PathBuf,
}

impl Helm {
    /// `None` where helm can't be built: `TEST_HELM` is `none`.
    ///
    /// # Errors
    /// When `TEST_HELM` is not set.
    pub fn find() -> Result<Option<Self>> {
        let program = std::env::var_os("TEST_HELM")
            .context("TEST_HELM is not set: run `make chart` or `make test`")?;
        Ok((program != "none").then(|| Self { program: program.into() }))
    }

    /// A command of it.
    pub fn command(&self) -> Command {
        Command::new(&self.program)
    }

    /// The chart rendered for the namespace `namespace` with these values: files
    /// of `tests/chart/values` by name, and `key=value` settings.
    ///
    /// # Errors
    /// When the values are refused, with what helm said.
    pub fn render(&self, namespace: &str, values: &[&str]) -> Result<Rendered> {
        let output = self.template(namespace, values)?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
        Rendered::parse(&String::from_utf8(output.stdout)?)
    }

    /// `helm template` with these values, whatever comes of it.
    ///
    /// # Errors
    /// When helm does not run.
    pub fn template(&self, namespace: &str, values: &[&str]) -> Result<Output> {
        let mut command = self.command();
        command.args(["template", RELEASE]).arg(chart());
        command.args(["--namespace", namespace, "--kube-version", KUBERNETES]);
        add_values(&mut command, values);
        command.output().context("running helm")
    }
}

/// Hands values to helm: `key=value`, or the name of a file.
pub fn add_values(command: &mut Command, values: &[&str]) {
    for value in values {
        if value.contains('=') {
            command.args(["--set", value]);
        } else {
            let file = format!("{value}.yaml");
            command
                .arg("--values")
                .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("values").join(file));
        }
    }
}

/// The root of the clone.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where the chart is.
pub fn chart() -> PathBuf {
    root().join("charts/millrace")
}

/// The objects of a rendering.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// All of them, hooks too.
    pub objects: Vec<Value>,
}

impl Rendered {
    /// Of YAML documents.
    ///
    /// # Errors
    /// When one is no YAML.
    pub fn parse(text: &str) -> Result<Self> {
        let mut objects = Vec::new();
        for document in serde_yaml::Deserializer::from_str(text) {
            let object = Value::deserialize(document)?;
            if !object.is_null() {
                objects.push(object);
            }
        }
        Ok(Self { objects })
    }

    /// All of a kind.
    ///
    /// # Errors
    /// When one is not of that type.
    pub fn of_kind<T: DeserializeOwned>(&self, kind: &str) -> Result<Vec<T>> {
        let of_kind = self.objects.iter().filter(|object| text(object, "/kind") == kind);
        of_kind.map(|object| Ok(serde_json::from_value(object.clone())?)).collect()
    }

    /// The one of a kind and a name.
    ///
    /// # Errors
    /// When there is none, or it is not of that type.
    pub fn one<T: DeserializeOwned>(&self, kind: &str, name: &str) -> Result<T> {
        let found = self
            .objects
            .iter()
            .find(|object| text(object, "/kind") == kind && text(object, "/metadata/name") == name);
        let found = found.with_context(|| format!("there is no {kind} {name}"))?;
        Ok(serde_json::from_value(found.clone())?)
    }
}

/// A text in an object, by JSON pointer; empty where there is none.
pub fn text<'o>(object: &'o Value, pointer: &str) -> &'o str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
