//! Prints docs/openapi.json: `make openapi`.

use std::io::Write;

use millrace_delivery::http::api::document;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(document::written(&document::document()).as_bytes())
}
