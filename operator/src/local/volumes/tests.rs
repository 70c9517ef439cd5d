use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::*;

fn make(volume: &Value, mount: &Value, state: &StateDir) -> Result<Mounts, Unrunnable> {
    let container = json!({ "name": "ingest", "volumeMounts": [mount] });
    let pod = json!({ "containers": [container], "volumes": [volume] });
    let (pod, container) =
        (serde_json::from_value(pod).unwrap(), serde_json::from_value(container).unwrap());
    let entries = [("tls.crt", "chain"), ("tls.key", "key")];
    let entries = entries.map(|(k, v)| (k.to_owned(), v.into())).into();
    let secrets = Files::from([("tls".to_owned(), entries)]);
    Mounts::make("events.keynote/ingest", &pod, &container, &secrets, state)
}

fn secret() -> Value {
    json!({ "name": "v", "secret": { "secretName": "tls", "defaultMode": 288 } })
}

fn mount() -> Value {
    json!({ "name": "v", "mountPath": "/etc/tls/", "readOnly": true })
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_secret_becomes_private_files_and_paths_lead_there() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::open(folder.path()).unwrap();
    let mounts = make(&secret(), &mount(), &state).unwrap();
    let env = json!([
        { "name": "FILE", "value": "/etc/tls/tls.key" },
        { "name": "DIR", "value": "/etc/tls" },
        { "name": "OTHER", "value": "/etc/tl" },
        { "name": "NONE" },
    ]);
    let env: Vec<EnvVar> = serde_json::from_value(env).unwrap();
    let env = mounts.rewrite("p", &env).unwrap();
    let value = |n: usize| env[n].value.clone().unwrap();
    assert_eq!(fs::read_to_string(value(0)).unwrap(), "key");
    let dir = value(1);
    assert!(dir.starts_with(folder.path().to_str().unwrap()), "{dir}");
    assert_eq!((value(2), &env[3].value), ("/etc/tl".to_owned(), &None));
    assert_eq!((mode(Path::new(&dir)), mode(Path::new(&value(0)))), (0o700, 0o600));

    // The next run has what the Secret has then, and nothing else.
    fs::write(Path::new(&dir).join("old"), "").unwrap();
    make(&secret(), &mount(), &state).unwrap();
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
    let empty = make(&json!({ "name": "v", "emptyDir": {} }), &mount(), &state).unwrap();
    assert_eq!(fs::read_dir(&empty.folders[0].1).unwrap().count(), 0);
}

#[test]
fn what_can_not_be_mapped_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::open(folder.path()).unwrap();
    let with = |mut object: Value, field: &str, value: Value| {
        object[field] = value;
        object
    };
    for (volume, mount, says) in [
        (secret(), with(mount(), "subPath", json!("x")), "volumeMounts[v].subPath"),
        (json!({ "name": "v", "configMap": { "name": "x" } }), mount(), "volumes[v].configMap"),
        (
            json!({ "name": "v", "secret": { "secretName": "tls", "items": [] } }),
            mount(),
            "secret.items",
        ),
        (json!({ "name": "v", "secret": { "secretName": "no" } }), mount(), "no Secret no"),
        (secret(), with(mount(), "name", json!("w")), "volumeMounts[w].name"),
    ] {
        let error = make(&volume, &mount, &state).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains("events.keynote/ingest"), "{error}");
    }
    let mounts = make(&secret(), &mount(), &state).unwrap();
    let env: Vec<EnvVar> =
        serde_json::from_value(json!([{ "name": "URL", "value": "file:///etc/tls/tls.crt" }]))
            .unwrap();
    assert!(mounts.rewrite("p", &env).unwrap_err().to_string().contains("env[URL]"));
    let container: Container =
        serde_json::from_value(json!({ "name": "c", "args": ["--cert=/etc/tls/tls.crt"] }))
            .unwrap();
    assert!(mounts.check("p", &container).unwrap_err().to_string().contains("--cert"));
}
