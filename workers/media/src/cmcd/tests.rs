use proptest::prelude::*;

use super::*;

#[test]
fn a_request_of_hls_js_is_read() {
    let query = "_HLS_msn=7&CMCD=bl%3D2300%2Cbr%3D3000%2Cbs%2Ccid%3D%22live%2Ca%22%2Cd%3D200%2C\
                 mtp%3D25400%2Cot%3Dv%2Cpr%3D1.05%2Csf%3Dh%2C\
                 sid%3D%226e2fb550-c457-11e9-bb97-0800200c9a66%22%2Cst%3Dll%2Csu%2Ctb%3D5000";
    let cmcd = Cmcd::of_query(query).unwrap().unwrap();
    let expected = Cmcd {
        bitrate_kbps: Some(3_000),
        buffer_ms: Some(2_300),
        starved: true,
        content: Some("live,a".to_owned()),
        duration_ms: Some(200),
        throughput_kbps: Some(25_400),
        object: Some(ObjectType::Video),
        rate_permille: Some(1_050),
        format: Some(StreamingFormat::Hls),
        session: Some("6e2fb550-c457-11e9-bb97-0800200c9a66".to_owned()),
        kind: Some(StreamType::Live),
        startup: true,
        top_bitrate_kbps: Some(5_000),
        ..Cmcd::default()
    };
    assert_eq!(cmcd, expected);
}

#[test]
fn a_query_without_it_says_nothing() {
    for query in ["", "a=b", "cmcd=sid", "xCMCD=sid", "_HLS_msn=1&_HLS_part=2"] {
        assert_eq!(Cmcd::of_query(query), Ok(None), "{query}");
    }
    assert_eq!(Cmcd::of_query("CMCD="), Ok(Some(Cmcd::default())));
}

#[test]
fn keys_of_others_are_passed_over() {
    let text =
        r#"com.example-x="a,b=\"c\"",com.example-y=7,ltc=1200,ot=a,nor="..%2Fnext",nrr="0-""#;
    let expected = Cmcd { object: Some(ObjectType::Audio), ..Cmcd::default() };
    assert_eq!(Cmcd::parse(text), Ok(expected));
}

#[test]
fn strings_have_escapes() {
    let session = |text: &str| Cmcd::parse(text).map(|cmcd| cmcd.session.unwrap());
    assert_eq!(session(r#"sid="a\"b\\""#), Ok(r#"a"b\"#.to_owned()));
    assert_eq!(session(r#"sid="a\nb""#), Err(InvalidCmcd::Value("sid")));
    assert_eq!(session("sid=\"a\nb\""), Err(InvalidCmcd::Value("sid")));
}

#[test]
fn what_is_wrong_is_refused_whole() {
    let long = format!("sid=\"{}\"", "x".repeat(65));
    let many: Vec<_> = (0..65).map(|n| format!("a-{n}")).collect();
    for (text, error) in [
        ("br=3000,br=3000", InvalidCmcd::Twice),
        ("br=3e3", InvalidCmcd::Value("br")),
        ("br=-1", InvalidCmcd::Value("br")),
        ("br=+1", InvalidCmcd::Value("br")),
        ("br=4294967296", InvalidCmcd::Value("br")),
        ("br=\"3000\"", InvalidCmcd::Value("br")),
        ("br", InvalidCmcd::Value("br")),
        ("br=", InvalidCmcd::Syntax),
        ("bs=1", InvalidCmcd::Value("bs")),
        ("ot=x", InvalidCmcd::Value("ot")),
        ("sf=hls", InvalidCmcd::Value("sf")),
        ("st=\"l\"", InvalidCmcd::Value("st")),
        ("pr=1.", InvalidCmcd::Value("pr")),
        ("pr=1001", InvalidCmcd::Value("pr")),
        ("sid=abc", InvalidCmcd::Value("sid")),
        ("sid=\"\"", InvalidCmcd::Value("sid")),
        (&long, InvalidCmcd::Value("sid")),
        ("sid=\"abc", InvalidCmcd::Syntax),
        ("sid=\"abc\"d", InvalidCmcd::Syntax),
        ("bs,,su", InvalidCmcd::Syntax),
        ("bs, su", InvalidCmcd::Syntax),
        (",bs", InvalidCmcd::Syntax),
        ("v=2", InvalidCmcd::Version),
        (&many.join(","), InvalidCmcd::Long),
        (&"x".repeat(MAX_BYTES + 1), InvalidCmcd::Long),
    ] {
        assert_eq!(Cmcd::parse(text), Err(error), "{text}");
    }
    for (query, error) in [
        ("CMCD=bs&CMCD=su", InvalidCmcd::Twice),
        ("CMCD=%2", InvalidCmcd::Encoding),
        ("CMCD=%+1", InvalidCmcd::Encoding),
        ("CMCD=sid%3D%22%FF%22", InvalidCmcd::Encoding),
        (&format!("CMCD={}", "%41".repeat(MAX_BYTES / 3 + 1)), InvalidCmcd::Long),
    ] {
        assert_eq!(Cmcd::of_query(query), Err(error), "{query}");
    }
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn encode(text: &str) -> String {
    let byte = |b: u8| {
        if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }
    };
    text.bytes().map(byte).collect()
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        br in any::<Option<u32>>(),
        bl in any::<Option<u32>>(),
        starved in any::<bool>(),
        sid in proptest::option::of("[^\\p{C}]{1,40}"),
        cid in proptest::option::of("[ -~]{1,64}"),
        pr in proptest::option::of(0_u32..=1_000_000),
    ) {
        let mut items = Vec::new();
        items.extend(bl.map(|n| format!("bl={n}")));
        items.extend(br.map(|n| format!("br={n}")));
        items.extend(starved.then(|| "bs".to_owned()));
        items.extend(cid.as_deref().map(|text| format!("cid={}", quote(text))));
        items.extend(pr.map(|n| format!("pr={}.{:03}", n / 1_000, n % 1_000)));
        items.extend(sid.as_deref().map(|text| format!("sid={}", quote(text))));
        let expected = Cmcd {
            bitrate_kbps: br, buffer_ms: bl, starved, content: cid, rate_permille: pr,
            session: sid, ..Cmcd::default()
        };
        let text = items.join(",");
        prop_assert_eq!(Cmcd::parse(&text), Ok(expected.clone()));
        let query = format!("a=1&CMCD={}", encode(&text));
        if query.len() <= MAX_BYTES {
            prop_assert_eq!(Cmcd::of_query(&query), Ok(Some(expected)));
        }
    }

    #[test]
    fn any_text_is_read_or_refused_and_its_strings_stay_short(text in ".{0,400}") {
        if let Ok(cmcd) = Cmcd::parse(&text) {
            for id in [cmcd.session, cmcd.content].into_iter().flatten() {
                prop_assert!((1..=64).contains(&id.chars().count()));
                prop_assert!(!id.chars().any(char::is_control));
            }
        }
    }

    #[test]
    fn any_query_is_read_or_refused(query in "CMCD=([a-z0-9=,\"\\\\%&.-]|%[0-9A-F]{2}){0,80}") {
        drop(Cmcd::of_query(&query));
    }
}
