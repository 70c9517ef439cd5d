//! The API's OpenAPI document, made from the handlers.

use utoipa::openapi::OpenApi as Written;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

/// What is said of the whole.
#[derive(Debug, OpenApi)]
#[openapi(
    info(title = "Millrace", description = "The administrators' API. \
        Times are RFC 3339 in UTC. Errors are problem details (RFC 9457). \
        Lists come in pages: `next` of one is `after` of the next.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")),
    tags(
        (name = "streams", description = "Streams and who watches them"),
        (name = "broadcasts", description = "What was and is broadcast"),
        (name = "keys", description = "Publish keys"),
        (name = "tokens", description = "Tokens of this API"),
        (name = "metrics", description = "Figures"),
        (name = "server", description = "The server itself")),
    security(("token" = [])),
    modifiers(&Token))]
pub struct Document;

struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut Written) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token of Millrace, or of Kubernetes"))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The document.
pub fn document() -> Written {
    super::routes().into_openapi()
}

/// Its text, as docs/openapi.json has it.
pub fn written(document: &Written) -> String {
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}
