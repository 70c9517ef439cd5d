//! The figures as plain tables.

use std::fmt::Write as _;
use std::time::Duration;

use crate::glass::Glass;
use crate::latency::Spread;
use crate::serving::Serving;
use crate::window::{IDLE, WARM_UP, Window};

/// One line: what, the value under each heading (or why there is none), what it does.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) values: Result<Vec<String>, String>,
    pub(crate) note: &'static str,
}

impl Row {
    pub(crate) fn new(name: impl Into<String>, values: Vec<String>, note: &'static str) -> Self {
        Self { name: name.into(), values: Ok(values), note }
    }

    pub(crate) fn missing(name: impl Into<String>, reason: &str) -> Self {
        Self { name: name.into(), values: Err(format!("not measured, {reason}")), note: "" }
    }
}

/// Everything that was measured.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) cpus: u32,
    /// Of the minute before the run.
    pub(crate) load: String,
    pub(crate) window: Duration,
    pub(crate) bitrates: Vec<u32>,
    pub(crate) costs: Vec<Row>,
    /// What was sent and what else the machine did meanwhile.
    pub(crate) conditions: Vec<Row>,
    pub(crate) parts: u32,
    pub(crate) latencies: Vec<Row>,
    pub(crate) lookups: Vec<Row>,
    /// Of events.
    pub(crate) relayed: Vec<Row>,
    /// Of many live streams.
    pub(crate) seconds: Vec<Row>,
    /// Of viewers.
    pub(crate) serving: Serving,
    pub(crate) glass: Glass,
}

impl Figures {
    pub(crate) fn add_conditions(&mut self, name: &str, windows: &[Window]) {
        let sent = windows.iter().map(|window| decimals(window.kbps, 0)).collect();
        self.conditions.push(Row::new(format!("kb/s sent to {name}"), sent, ""));
        let busy = windows.iter().map(|window| decimals(window.busy, 2)).collect();
        self.conditions.push(Row::new("  busy CPUs meanwhile", busy, ""));
    }

    /// Several lines.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "{} CPUs; load before the run {}\n", self.cpus, self.load);
        self.write_record(&mut text);
        self.write_serving(&mut text);
        self.write_glass(&mut text);
        if self.costs.is_empty() {
            return text;
        }
        let _ = writeln!(
            text,
            "CPU seconds (user + system) per publisher-minute; one paced RTMP publisher, 720p30\n\
             H.264 + AAC, the same messages to each server; {} s after {} s of warm-up;\n\
             idle: per minute without a publisher, over {} s\n",
            self.window.as_secs(),
            WARM_UP.as_secs(),
            IDLE.as_secs()
        );
        let bitrates = self.bitrates.iter().map(|kbps| format!("{kbps} kb/s"));
        let heads: Vec<_> = ["idle".to_owned()].into_iter().chain(bitrates).collect();
        text.push_str(&table(&heads, &self.costs));
        text.push('\n');
        text.push_str(&table(&heads, &self.conditions));
        let _ = writeln!(
            text,
            "\nLast frame in → part readable over HTTP, ms; {} parts of 200 ms, top rung, source\n\
             {} kb/s, a viewer by blocking reload\n",
            self.parts,
            self.bitrates.last().copied().unwrap_or_default()
        );
        text.push_str(&table(
            &["p50", "p99", "max", "busy CPUs"].map(str::to_owned),
            &self.latencies,
        ));
        text.push_str(
            "\nIncluded for Millrace: ingest, the log (Kafka), decoding, encoding of both rungs\n\
             (ffmpeg, x264 ultrafast), packaging, Redis, delivery over HTTP. Not included: a\n\
             player's buffer, a network.\n",
        );
        text
    }
}

impl Figures {
    fn write_serving(&self, text: &mut String) {
        let Serving { throughput, blocked, sockets, viewers } = &self.serving;
        if throughput.is_empty() {
            return;
        }
        let mut add = |title: &str, heads: &[&str], rows: &[Row]| {
            let heads: Vec<_> = heads.iter().map(|head| (*head).to_owned()).collect();
            let _ = writeln!(text, "{title}\n\n{}", table(&heads, rows));
        };
        add(
            "Answers for each second of a core that the server used; 16 connections kept alive",
            &["300 KB", "playlist"],
            throughput,
        );
        add(
            "Blocked reloads: from the publication of the part they wait for to the answer, ms",
            &["p50", "p99", "max", "RSS MB", "kB each"],
            blocked,
        );
        add(
            "WebSockets, a message a second each; how far from a second apart they came, ms",
            &["% of a core", "RSS MB", "kB each", "p50", "p99", "max"],
            sockets,
        );
        add(
            "Viewers of a live stream; from the publication of a part to all of it, ms",
            &["stalls", "p50", "p99", "max", "% of a core", "ms/s each", "RSS MB", "busy CPUs"],
            viewers,
        );
    }

    fn write_glass(&self, text: &mut String) {
        if self.glass.latencies.is_empty() {
            return;
        }
        let _ = writeln!(
            text,
            "Glass to glass: from a picture taken (720p30, x264 zerolatency) to the same on the\n\
             screen, hls.js in lowLatencyMode, nothing else set, in Chromium; ms\n"
        );
        let heads = ["p50", "p99", "max", "stalls", "dropped", "busy CPUs"].map(str::to_owned);
        text.push_str(&table(&heads, &self.glass.latencies));
        text.push_str("\nWhere it goes in the first row, by the last picture of each part, ms\n\n");
        text.push_str(&table(&["p50", "p99", "max"].map(str::to_owned), &self.glass.stages));
        text.push('\n');
    }

    fn write_record(&self, text: &mut String) {
        if self.lookups.is_empty() {
            return;
        }
        text.push_str("Lookups on loopback, one after the other, ms\n\n");
        text.push_str(&table(&["p50", "p99", "max"].map(str::to_owned), &self.lookups));
        text.push_str("\nEvents on their way from Postgres to Kafka\n\n");
        text.push_str(&table(&["events/s"].map(str::to_owned), &self.relayed));
        let _ = writeln!(
            text,
            "\nMetrics of each second, summed and written by delivery, over {} s\n",
            self.window.as_secs()
        );
        text.push_str(&table(&["rows/s", "% of a core"].map(str::to_owned), &self.seconds));
        text.push('\n');
    }
}

/// A number with so many decimals.
pub(crate) fn decimals(value: f64, count: usize) -> String {
    format!("{value:.count$}")
}

/// The values of a [`Spread`], under p50, p99 and max.
pub(crate) fn milliseconds(spread: &Spread) -> Vec<String> {
    let ms = |latency: Duration| decimals(latency.as_secs_f64() * 1_000.0, 1);
    vec![ms(spread.p50), ms(spread.p99), ms(spread.max)]
}

/// Names to the left, values to the right of their columns, notes behind.
fn table(heads: &[String], rows: &[Row]) -> String {
    let name = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or_default();
    let mut text = format!("  {:name$}", "");
    for head in heads {
        let _ = write!(text, "  {head:>10}");
    }
    text.push('\n');
    for row in rows {
        let _ = write!(text, "  {:name$}", row.name);
        match &row.values {
            Err(reason) => {
                let _ = write!(text, "  {reason}");
            }
            Ok(values) => {
                for value in values {
                    let _ = write!(text, "  {value:>10}");
                }
                if !row.note.is_empty() {
                    let _ = write!(text, "  {}", row.note);
                }
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_lines_up_and_says_what_is_missing() {
        let rows = [
            Row::new("ingest", vec!["0.12".to_owned(), "0.5".to_owned()], "to the log"),
            Row::missing("a peer", "no go"),
        ];
        let text = table(&["600 kb/s".to_owned(), "3000 kb/s".to_owned()], &rows);
        assert_eq!(
            text,
            "            600 kb/s   3000 kb/s\n\
             \x20 ingest        0.12         0.5  to the log\n\
             \x20 a peer  not measured, no go\n"
        );
    }
}
