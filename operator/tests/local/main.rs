//! `millrace-operator local` with workers that only say they are ready.

#[cfg(test)]
mod run;
#[cfg(test)]
#[path = "../servers/mod.rs"]
mod servers;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use run::{Run, alive, eventually};

#[test]
fn each_worker_gets_its_rendered_environment_and_little_else() {
    let run = Run::start("environment", &[]);
    let ingest = run.environment("ingest");
    assert_eq!(ingest["STREAM_ID"], "events.keynote");
    assert_eq!(ingest["RECONNECT_WINDOW_SECONDS"], "60");
    assert_eq!(ingest["REDIS_URL"], run.redis_url());
    assert_eq!(ingest["LISTEN_ADDRESS"], "127.0.0.1");
    assert_eq!(ingest["EXIT_WITH_PARENT"], "stdin");
    assert!(!ingest.contains_key("OBJECT_STORE_URL"), "{ingest:?}");
    assert!(!ingest.contains_key("CARGO_MANIFEST_DIR"), "{ingest:?}");
    let transcode = run.environment("transcode");
    assert_eq!(transcode["PRESET"], "ultrafast");
    assert!(transcode["LADDER"].contains(r#""name":"480p""#), "{transcode:?}");
    assert!(!transcode.contains_key("DATABASE_URL"), "{transcode:?}");
    assert!(transcode["OBJECT_STORE_URL"].starts_with("file:///"), "{transcode:?}");
    let delivery = run.environment("delivery");
    assert!(delivery.contains_key("HTTP_PORT") && delivery.contains_key("DATABASE_URL"));

    let lines = run.lines();
    let rtmp = format!("rtmp://127.0.0.1:{}/live", ingest["RTMP_PORT"]);
    assert_eq!(lines["RTMP_URL"], rtmp);
    let http = format!("127.0.0.1:{}", delivery["HTTP_PORT"]);
    assert_eq!(lines["HLS_URL"], format!("http://{http}/hls/events.keynote/index.m3u8"));
    assert_eq!(lines["METRICS_URLS"].split(',').count(), 3);
    assert!(run.log().contains(&rtmp), "{}", run.log());
}

#[test]
fn a_killed_worker_is_back_under_a_new_process_id() {
    let run = Run::start("restart", &[]);
    let old = run.pid("TRANSCODE_PID");
    run::kill_hard(old);
    eventually("a new TRANSCODE_PID", || run.pid("TRANSCODE_PID") != old);
    assert!(!alive(old));
    let new = run.pid("TRANSCODE_PID");
    eventually("the new one to run", || alive(new));
}

#[test]
fn the_publish_key_stays_over_runs() {
    let first = Run::start("key", &[]);
    let key = first.lines()["STREAM_KEY"].clone();
    let place = first.stop();
    let second = Run::start_in(place, &[]);
    assert_eq!(second.lines()["STREAM_KEY"], key);
}

#[test]
fn sigterm_leaves_no_process_and_no_env_file() {
    let run = Run::start("sigterm", &[]);
    let pids = run.pids();
    assert_eq!(pids.len(), 3);
    let env_file = run.env_file();
    let place = run.stop();
    assert!(!env_file.exists());
    assert!(pids.iter().all(|pid| !alive(*pid)), "{}", place.log());
}

#[test]
fn workers_end_with_an_operator_that_is_killed() {
    let mut run = Run::start("orphans", &[]);
    let pids = run.pids();
    run.kill_operator();
    eventually("the workers to end", || pids.iter().all(|pid| !alive(*pid)));
}

/// The real thing, as the workers have it from the platform.
#[test]
fn a_process_told_to_end_with_its_parent_does() {
    let mut run = Run::start_with_parent("parent");
    let pids = run.pids();
    run.close_stdin();
    eventually("the operator to end", || !alive(run.operator_pid()));
    assert!(pids.iter().all(|pid| !alive(*pid)), "{}", run.log());
}

#[test]
fn what_is_not_ready_in_time_is_named() {
    let place = run::Place::new("not-ready");
    fs::write(place.bin("millrace-transcode.fail"), "").unwrap();
    let output = place.command(&["--ready-timeout", "2s"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(
        said.contains("not ready after 2s: events.keynote/transcode (down: exit status: 3)"),
        "{said}"
    );
}

#[test]
fn a_missing_setting_or_program_is_named() {
    let place = run::Place::new("missing");
    let output = place.command(&[]).env_remove("REDIS_URL").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("REDIS_URL: not set"), "{said}");

    fs::remove_file(place.bin("millrace-delivery")).unwrap();
    let output = place.command(&[]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("there is no program") && said.contains("millrace-delivery"), "{said}");
}

#[test]
fn a_bad_manifest_is_refused_by_its_field() {
    let place = run::Place::new("bad");
    let manifest = fs::read_to_string(place.manifest()).unwrap();
    fs::write(place.manifest(), manifest.replace("height: 480", "height: 481")).unwrap();
    let output = place.command(&[]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("spec.ladder[0].height: is 481, expected even"), "{said}");
}

#[test]
fn two_streams_in_one_file_share_a_delivery() {
    let place = run::Place::new("two");
    let one = fs::read_to_string(place.manifest()).unwrap();
    let two = one.replace("name: keynote", "name: workshop");
    fs::write(place.manifest(), format!("{one}---\n{two}")).unwrap();
    let run = Run::start_in(place, &[]);
    let lines = run.lines();
    assert_eq!(lines["STREAM_ID"], "events.keynote");
    assert_eq!(lines["STREAM_ID_2"], "events.workshop");
    assert_ne!(lines["RTMP_URL"], lines["RTMP_URL_2"]);
    assert_ne!(lines["STREAM_KEY"], lines["STREAM_KEY_2"]);
    assert_eq!(lines["METRICS_URLS"].split(',').count(), 5);
}

/// What asks nothing of a process is put up with: where a pod runs, how it is
/// reached, under which host name.
#[test]
fn a_stream_with_every_field_set_runs() {
    let place = run::Place::new("every");
    fs::write(place.manifest(), include_str!("every-field.yaml")).unwrap();
    let run = Run::start_in(place, &[]);
    assert_eq!(run.environment("ingest")["TAKEOVER"], "Always");
    assert_eq!(run.environment("transcode")["THREADS"], "4");
    // One ingest, two transcoders, one delivery.
    assert_eq!(run.lines()["METRICS_URLS"].split(',').count(), 4);
}

#[test]
fn a_certificate_in_the_same_file_reaches_ingest_as_private_files() {
    let place = run::Place::new("rtmps");
    fs::write(place.manifest(), include_str!("every-field.yaml")).unwrap();
    let run = Run::start_in(place, &[]);
    let ingest = run.environment("ingest");
    let url = format!("rtmps://127.0.0.1:{}/live", ingest["RTMPS_PORT"]);
    assert_eq!(run.lines()["RTMP_URL"], url);
    assert!(!ingest.contains_key("RTMP_PORT"), "{ingest:?}");
    for (variable, text) in [("RTMPS_CERT_FILE", "the chain"), ("RTMPS_KEY_FILE", "the key")] {
        let file = Path::new(&ingest[variable]);
        assert_eq!(fs::read_to_string(file).unwrap(), text);
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(!run.log().contains("the key\n"), "{}", run.log());
}

#[test]
fn a_certificate_that_is_in_no_file_is_named() {
    let place = run::Place::new("no-certificate");
    let (stream, _) = include_str!("every-field.yaml").split_once("---").unwrap();
    fs::write(place.manifest(), stream).unwrap();
    let output = place.command(&[]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(said.contains("there is no Secret events/keynote-rtmps"), "{said}");
}

#[test]
fn a_suspended_stream_has_no_process() {
    let place = run::Place::new("suspended");
    let manifest = fs::read_to_string(place.manifest()).unwrap();
    fs::write(place.manifest(), manifest.replace("spec:", "spec:\n  suspend: true")).unwrap();
    let run = Run::start_in(place, &[]);
    let lines = run.lines();
    assert!(!lines.contains_key("INGEST_PID") && !lines.contains_key("RTMP_URL"), "{lines:?}");
    assert_eq!(lines["METRICS_URLS"].split(',').count(), 1);
}

#[test]
fn help_and_version_are_there() {
    for arguments in [["--help"].as_slice(), &["local", "--help"], &["--version"]] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_millrace-operator")).args(arguments).output().unwrap();
        assert!(output.status.success() && !output.stdout.is_empty(), "{arguments:?}");
    }
}

/// As long as any step may take on a loaded machine; no test waits this long
/// when things go right.
const PATIENCE: Duration = Duration::from_mins(1);
