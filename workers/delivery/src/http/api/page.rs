//! The document for people: one page without scripts, made from it once.

use std::fmt::Write;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::http::header::{HeaderName, X_CONTENT_TYPE_OPTIONS};
use axum::routing::get;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::openapi::OpenApi as Written;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;\
padding:0 1rem;color-scheme:light dark}h2{margin-top:3rem}h3{font:600 1rem ui-monospace,monospace;\
margin:2rem 0 .25rem;overflow-wrap:anywhere}table{border-collapse:collapse;width:100%}\
td{padding:.25rem .75rem .25rem 0;vertical-align:top;border-top:1px solid #8884}\
td:first-child{font-family:ui-monospace,monospace;white-space:nowrap}\
.method{text-transform:uppercase}.note{opacity:.75}";

/// `GET /api/docs`.
pub fn router<S: Clone + Send + Sync + 'static>(document: &Written) -> Router<S> {
    let document = serde_json::to_value(document).unwrap_or_default();
    let page = Bytes::from(html(&document));
    // Nothing is loaded, and only this style is applied.
    let style = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    let headers: [(HeaderName, String); 5] = [
        (CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (REFERRER_POLICY, "no-referrer".to_owned()),
        (CACHE_CONTROL, "no-cache".to_owned()),
    ];
    Router::new().route("/api/docs", get(async move || (headers, page)))
}

fn html(document: &Value) -> String {
    let mut page = String::new();
    let title = text(document, "/info/title");
    let about = text(document, "/info/description");
    // Writing to a String can't fail.
    let _ = write!(
        page,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title} API</title><style>{STYLE}</style><h1>{title} API</h1><p>{about}</p>\
         <p class=\"note\">The same for programs: <a href=\"/api/v1/openapi.json\">openapi.json</a>\
         </p>"
    );
    for tag in list(document, "/tags") {
        let name = tag.get("name").and_then(Value::as_str).unwrap_or_default();
        let _ = write!(page, "<h2>{}</h2>", text(tag, "/description"));
        for (path, methods) in entries(document, "/paths") {
            for (method, operation) in entries(methods, "") {
                if list(operation, "/tags").any(|tag| tag == name) {
                    describe(&mut page, (method, path), operation);
                }
            }
        }
    }
    page.push_str("<h2>What is in the bodies</h2>");
    for (name, schema) in entries(document, "/components/schemas") {
        let _ = write!(page, "<h3 id=\"{0}\">{0}</h3>", escape(name));
        let _ = write!(page, "<p>{}</p><table>", text(schema, "/description"));
        for (field, about) in entries(schema, "/properties") {
            let (kind, said) = (kind(about), text(about, "/description"));
            let _ = write!(page, "<tr><td>{}<td>{kind}<td>{said}", escape(field));
        }
        page.push_str("</table>");
    }
    page.push_str("</html>\n");
    page
}

fn describe(page: &mut String, (method, path): (&str, &str), operation: &Value) {
    let (method, path) = (escape(method), escape(path));
    let _ = write!(
        page,
        "<h3><span class=\"method\">{method}</span> {path}</h3><p>{}. {}</p><table>",
        text(operation, "/summary"),
        text(operation, "/description")
    );
    for parameter in list(operation, "/parameters") {
        let (name, place) = (text(parameter, "/name"), text(parameter, "/in"));
        let said = text(parameter, "/description");
        let _ = write!(page, "<tr><td>{name}<td>in the {place}<td>{said}");
    }
    if let Some(body) = operation.pointer("/requestBody/content/application~1json/schema") {
        let _ = write!(page, "<tr><td>body<td>{}<td>", kind(body));
    }
    for (status, response) in entries(operation, "/responses") {
        let said = text(response, "/description");
        let schema = entries(response, "/content").find_map(|(_, content)| content.get("schema"));
        let kind = schema.map(kind).unwrap_or_default();
        let _ = write!(page, "<tr><td>{}<td>{kind}<td>{said}", escape(status));
    }
    page.push_str("</table>");
}

/// What a schema is, in a word, with a link where it has a name.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let name = escape(name.rsplit('/').next().unwrap_or_default());
        return format!("<a href=\"#{name}\">{name}</a>");
    }
    if let Some(one) = list(schema, "/oneOf").find(|s| s.get("type") != Some(&"null".into())) {
        return format!("{} or null", kind(one));
    }
    if let Some(items) = schema.get("items") {
        return format!("list of {}", kind(items));
    }
    match schema.get("type") {
        Some(Value::String(name)) => escape(name),
        Some(Value::Array(names)) => {
            let names: Vec<String> = names.iter().filter_map(Value::as_str).map(escape).collect();
            names.join(" or ")
        }
        _ => String::new(),
    }
}

fn text(value: &Value, pointer: &str) -> String {
    escape(value.pointer(pointer).and_then(Value::as_str).unwrap_or_default())
}

fn list<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = &'v Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn entries<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = (&'v str, &'v Value)> {
    let found = value.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
    found.map(|(name, value)| (name.as_str(), value))
}

fn escape(text: &str) -> String {
    let special = |c| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(special).collect()
}
