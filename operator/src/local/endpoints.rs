//! Where to publish and watch, from the processes' ports: for people on
//! stdout, for programs in the file of `--env-file`.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use millrace_media::id::{PublishKey, StreamId};
use millrace_platform::tokens::ApiToken;

use super::pods::ProcessPlan;

/// One stream's way in.
pub(super) struct Published {
    /// The stream.
    pub(super) id: StreamId,
    /// Its first publish key, if the spec has one.
    pub(super) key: Option<PublishKey>,
}

/// Names and values, in order.
pub(super) type Lines = Vec<(String, String)>;

/// All addresses. The first stream's names are plain; a second stream's end
/// in `_2`, and so on.
pub(super) fn lines(
    streams: &[Published],
    token: Option<&ApiToken>,
    plans: &[(&ProcessPlan, Option<u32>)],
) -> Lines {
    let delivery = plans.iter().find(|(plan, _)| plan.component == "delivery");
    let mut lines = Lines::new();
    for (i, stream) in streams.iter().enumerate() {
        let suffix = if i == 0 { String::new() } else { format!("_{}", i + 1) };
        let mut line = |name: &str, value: String| lines.push((format!("{name}{suffix}"), value));
        line("STREAM_ID", stream.id.to_string());
        let is = |plan: &ProcessPlan, component: &str| {
            plan.stream.as_ref() == Some(&stream.id) && plan.component == component
        };
        let of = |component: &str| plans.iter().find(|(plan, _)| is(plan, component));
        if let Some((ingest, _)) = of("ingest") {
            // It has one of them.
            for scheme in ["rtmp", "rtmps"] {
                if let Some(address) = address(ingest, scheme) {
                    line("RTMP_URL", format!("{scheme}://{address}/live"));
                }
            }
        }
        if let Some(key) = &stream.key {
            line("STREAM_KEY", key.reveal());
        }
        if let Some((delivery, _)) = delivery {
            if let Some(http) = address(delivery, "http") {
                line("HLS_URL", format!("http://{http}/hls/{}/index.m3u8", stream.id));
                line("PLAYER_URL", format!("http://{http}/watch/{}", stream.id));
                line("WS_URL", format!("ws://{http}/ws/stream/{}", stream.id));
            }
            if let Some(admin) = address(delivery, "admin") {
                line("API_URL", format!("http://{admin}/api/v1"));
            }
        }
        for component in ["ingest", "transcode"] {
            if let Some((_, Some(pid))) = of(component) {
                line(&format!("{}_PID", component.to_uppercase()), pid.to_string());
            }
            // One that is being started again has none.
            let all = plans.iter().filter(|(plan, _)| is(plan, component));
            if all.clone().count() > 1 {
                let pids: Vec<_> = all.filter_map(|(_, pid)| Some((*pid)?.to_string())).collect();
                line(&format!("{}_PIDS", component.to_uppercase()), pids.join(","));
            }
        }
    }
    if let Some(token) = token {
        lines.push(("API_TOKEN".to_owned(), token.reveal().to_owned()));
    }
    if let Some((_, Some(pid))) = delivery {
        lines.push(("DELIVERY_PID".to_owned(), pid.to_string()));
    }
    lines.push(("OPERATOR_PID".to_owned(), std::process::id().to_string()));
    let metrics: Vec<_> =
        plans.iter().map(|(plan, _)| format!("http://{}/metrics", plan.ready.address)).collect();
    lines.push(("METRICS_URLS".to_owned(), metrics.join(",")));
    lines
}

/// `host:port` of a named port.
fn address(plan: &ProcessPlan, port: &str) -> Option<String> {
    let mut address = plan.ready.address;
    address.set_port(*plan.ports.get(port)?);
    Some(address.to_string())
}

/// For people. A key or token is for eyes only: what is not a terminal is a log.
pub(super) fn announcement(lines: &Lines, to_terminal: bool) -> String {
    let titles = [
        ("STREAM_ID", "\nstream  "),
        ("RTMP_URL", "publish "),
        ("STREAM_KEY", "key     "),
        ("PLAYER_URL", "watch   "),
        ("HLS_URL", "HLS     "),
        ("API_URL", "API     "),
        ("API_TOKEN", "token   "),
    ];
    let mut text = String::new();
    for (name, value) in lines {
        let plain = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_');
        if let Some((_, title)) = titles.iter().find(|(name, _)| *name == plain) {
            let secret = ["STREAM_KEY", "API_TOKEN"].contains(&plain) && !to_terminal;
            let value = if secret { "(in the state directory and the env file)" } else { value };
            // Writing to a String can't fail.
            let _ = writeln!(text, "{title}  {value}");
        }
    }
    text
}

/// Write `NAME=value` lines, whole or not at all, for their owner only.
pub(super) fn write_env_file(path: &Path, lines: &Lines) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut text = String::new();
    for (name, value) in lines {
        let _ = writeln!(text, "{name}={value}");
    }
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_on_a_terminal_and_in_no_log() {
        let lines = vec![
            ("STREAM_ID".to_owned(), "events.keynote".to_owned()),
            ("STREAM_KEY".to_owned(), "abc_secret".to_owned()),
            ("STREAM_KEY_2".to_owned(), "def_secret".to_owned()),
            ("API_TOKEN".to_owned(), "millrace_secret".to_owned()),
        ];
        assert!(announcement(&lines, true).contains("abc_secret"));
        assert!(!announcement(&lines, false).contains("secret\n"));
        assert!(announcement(&lines, false).contains("events.keynote"));
    }
}
