//! Events as docs/events says they are.

use anyhow::{Context, Result, anyhow};
use boon::{Compiler, Schemas};
use serde_json::Value;

use crate::repo;

/// Checks the data of an event of this `ce_type` against its JSON Schema.
///
/// # Errors
/// What of it is not as the schema says, or why there is none.
pub fn check(kind: &str, data: &Value) -> Result<()> {
    let name = kind.strip_prefix("dev.millrace.").context("no type of ours")?;
    let path = repo::root().join("docs/events").join(format!("{name}.json"));
    let path = path.to_str().context("the repository's path is not UTF-8")?;
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.enable_format_assertions();
    let schema = compiler.compile(path, &mut schemas).map_err(|e| anyhow!("{e:#}"))?;
    schemas.validate(data, schema).map_err(|e| anyhow!("{kind} {data}: {e:#}"))
}
