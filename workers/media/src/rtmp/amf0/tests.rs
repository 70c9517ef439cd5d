use bytes::BytesMut;
use proptest::prelude::*;

use super::*;

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<f64>().prop_filter("NaN equals nothing", |n| !n.is_nan()).prop_map(Value::Number),
        any::<bool>().prop_map(Value::Boolean),
        ".{0,20}".prop_map(Value::String),
        Just(Value::Null),
        Just(Value::Undefined),
        (-1e15..1e15).prop_map(Value::Date),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let entries = prop::collection::vec(("[a-z]{1,8}", inner.clone()), 0..6);
        prop_oneof![
            entries.clone().prop_map(Value::Object),
            entries.prop_map(Value::EcmaArray),
            prop::collection::vec(inner, 0..6).prop_map(Value::StrictArray),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(values in prop::collection::vec(value(), 0..5)) {
        let mut out = BytesMut::new();
        for value in &values {
            value.encode(&mut out);
        }
        prop_assert_eq!(decode_all(&out).unwrap(), values);
    }

    #[test]
    fn any_bytes_are_values_or_an_error(bytes in prop::collection::vec(0u8..0x14, 0..300)) {
        let _ = decode_all(&bytes);
    }
}

#[test]
fn nesting_has_a_bound() {
    let nested = |depth: usize| {
        let mut value = Value::Null;
        for _ in 0..depth {
            value = Value::StrictArray(vec![value]);
        }
        let mut out = BytesMut::new();
        value.encode(&mut out);
        decode_all(&out)
    };
    assert!(nested(MAX_DEPTH).is_ok());
    assert!(matches!(nested(MAX_DEPTH + 1), Err(Amf0Error::Depth { .. })));
}

#[test]
fn an_array_that_announces_billions_is_refused_without_reserving_them() {
    let mut bytes = vec![STRICT_ARRAY, 0xff, 0xff, 0xff, 0xff];
    bytes.extend_from_slice(&[NULL; 4096]);
    assert!(matches!(decode_all(&bytes), Err(Amf0Error::Values { .. })));
    assert!(matches!(decode_all(&bytes[..9]), Err(Amf0Error::End { at: 9 })));
}

#[test]
fn a_long_string_is_refused_before_it_is_read() {
    let bytes = [LONG_STRING, 0xff, 0xff, 0xff, 0xff, b'x'];
    assert!(matches!(decode_all(&bytes), Err(Amf0Error::StringLength { at: 0, .. })));
}
