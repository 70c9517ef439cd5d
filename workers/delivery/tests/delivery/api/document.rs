//! The OpenAPI document and its page.

use millrace_delivery::http::api::document;

use crate::support::World;

#[tokio::test]
async fn the_document_is_that_of_the_documentation_and_served_to_everybody() {
    let written = document::written(&document::document());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(written == kept, "docs/openapi.json is stale: run `make openapi`");

    let replica = World::new().replica().await;
    let url = format!("http://{}/api/v1/openapi.json", replica.admin);
    let served = crate::support::answer(replica.client.get(url)).await;
    assert_eq!((served.status, served.text == kept), (200, true));
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let written = serde_json::to_value(document::document()).unwrap();
    let mut names = std::collections::BTreeSet::new();
    for (path, methods) in written["paths"].as_object().unwrap() {
        for operation in methods.as_object().unwrap().values() {
            assert!(names.insert(operation["operationId"].to_string()), "{path}");
        }
    }
    assert!(names.len() > 20);
}

#[tokio::test]
async fn the_page_names_every_route_and_loads_nothing() {
    let replica = World::new().replica().await;
    let url = format!("http://{}/api/docs", replica.admin);
    let page = crate::support::answer(replica.client.get(url)).await;
    assert_eq!(page.status, 200);
    for path in document::document().paths.paths.keys() {
        assert!(page.text.contains(path.as_str()), "{path}");
    }
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; style-src"));
    assert!(!page.text.contains("<script") && !page.text.contains("src="));
}
