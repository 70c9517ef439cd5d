//! Playlists of a server that lost its place: from a segment on, numbers and names begin at 0.

/// The segment that becomes number 0.
const FROM: u64 = 4;

/// The playlist, begun again; none when it does not reach so far.
pub(super) fn playlist(text: &str) -> Option<String> {
    let mut out: Vec<String> = Vec::new();
    // Tags of a segment stand before its URI.
    let mut segment: Vec<String> = Vec::new();
    let mut msn: u64 = text.lines().find_map(|line| number(line, "#EXT-X-MEDIA-SEQUENCE:"))?;
    for line in text.lines() {
        if line.starts_with("#EXT-X-MEDIA-SEQUENCE:") {
            out.push("#EXT-X-MEDIA-SEQUENCE:0".to_owned());
        } else if is_of_segment(line) {
            segment.push(renamed(line));
        } else if line.starts_with('#') {
            // A map, or a tag of the whole list.
            out.push(renamed(line));
        } else {
            if msn >= FROM {
                out.append(&mut segment);
                out.push(renamed(line));
            }
            segment.clear();
            msn += 1;
        }
    }
    // What the growing segment has.
    (msn >= FROM && !segment.is_empty()).then(|| {
        out.append(&mut segment);
        out.join("\n") + "\n"
    })
}

fn is_of_segment(line: &str) -> bool {
    const TAGS: [&str; 6] = [
        "#EXTINF:",
        "#EXT-X-PART:",
        "#EXT-X-GAP",
        "#EXT-X-PROGRAM-DATE-TIME:",
        "#EXT-X-PRELOAD-HINT:",
        "#EXT-X-ENDLIST",
    ];
    line == "#EXT-X-DISCONTINUITY" || TAGS.iter().any(|tag| line.starts_with(tag))
}

fn number(line: &str, tag: &str) -> Option<u64> {
    line.strip_prefix(tag)?.trim().parse().ok()
}

/// A line with the name of media in it, as a URI or between quotes.
fn renamed(line: &str) -> String {
    let name = if line.starts_with('#') {
        line.split_once("URI=\"").and_then(|(_, rest)| rest.split_once('"')).map(|(uri, _)| uri)
    } else {
        Some(line)
    };
    match name.and_then(|name| Some((name, shifted(name, |msn| msn.checked_sub(FROM))?))) {
        Some((name, other)) => line.replacen(name, &other, 1),
        None => line.to_owned(),
    }
}

/// `8.2-1.m4s` with another number in front; none when it has none.
fn shifted(name: &str, shift: impl Fn(u64) -> Option<u64>) -> Option<String> {
    let digits = name.find(|c: char| !c.is_ascii_digit())?;
    let (number, rest) = name.split_at(digits);
    rest.strip_suffix(".m4s")?;
    Some(format!("{}{rest}", shift(number.parse().ok()?)?))
}

/// What to ask the honest server for in place of this.
pub(super) fn true_url(path: &str, query: &str) -> String {
    let further = |msn: u64| msn.checked_add(FROM);
    let (folder, name) = path.rsplit_once('/').unwrap_or_default();
    let name = shifted(name, further).unwrap_or_else(|| name.to_owned());
    if query.is_empty() {
        return format!("{folder}/{name}");
    }
    let pairs = query.split('&').map(|pair| {
        let msn = number(pair, "_HLS_msn=").and_then(further);
        msn.map_or_else(|| pair.to_owned(), |msn| format!("_HLS_msn={msn}"))
    });
    format!("{folder}/{name}?{}", pairs.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:3\n\
        #EXT-X-MAP:URI=\"init-a.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:2026-11-02T12:00:00.000Z\n\
        #EXTINF:2.0,\n3-1.m4s\n#EXTINF:2.0,\n4-1.m4s\n\
        #EXT-X-PART:DURATION=0.2,URI=\"5.0-1.m4s\",INDEPENDENT=YES\n\
        #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"5.1-1.m4s\"\n";

    #[test]
    fn from_its_fourth_segment_on_a_list_begins_again_at_nought() {
        assert_eq!(
            playlist(LIST).unwrap(),
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n\
             #EXT-X-MAP:URI=\"init-a.mp4\"\n#EXTINF:2.0,\n0-1.m4s\n\
             #EXT-X-PART:DURATION=0.2,URI=\"1.0-1.m4s\",INDEPENDENT=YES\n\
             #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"1.1-1.m4s\"\n"
        );
        assert_eq!(playlist("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:2.0,\n0-1.m4s\n"), None);
    }

    #[test]
    fn the_honest_server_is_asked_for_the_true_numbers() {
        assert_eq!(true_url("/hls/a/480p/1.0-1.m4s", ""), "/hls/a/480p/5.0-1.m4s");
        assert_eq!(
            true_url("/hls/a/480p/media.m3u8", "_HLS_msn=1&_HLS_part=3"),
            "/hls/a/480p/media.m3u8?_HLS_msn=5&_HLS_part=3"
        );
        assert_eq!(true_url("/hls/a/480p/init-a.mp4", ""), "/hls/a/480p/init-a.mp4");
    }
}
