//! Which publish keys a stream should have, given the spec and what its
//! Secret holds. Pure: time and randomness are arguments.

use std::collections::{BTreeMap, BTreeSet};

use millrace_media::id::InvalidId;
use millrace_platform::keys::generate;
use rand::CryptoRng;

use super::build::publish_keys_secret::{NamedKey, PreviousKey, StreamKeys};
use super::validated::ValidatedKey;

/// The keys the Secret should hold: those it has, rotated where the spec has
/// another number, made where there is none, dropped where the spec names
/// none. `now` is seconds since 1970.
pub fn desired(
    spec: &[ValidatedKey],
    held: &StreamKeys,
    now: i64,
    rng: &mut impl CryptoRng,
) -> Result<StreamKeys, InvalidId> {
    let mut keys = BTreeMap::new();
    for key in spec {
        let named = match held.0.get(&key.name) {
            Some(held) if held.rotation == key.rotation => {
                let mut same = held.clone();
                same.previous = same.previous.filter(|previous| previous.until > now);
                same
            }
            Some(held) => NamedKey {
                current: generate(rng)?,
                rotation: key.rotation,
                previous: Some(PreviousKey {
                    key: held.current.clone(),
                    until: now
                        .saturating_add(i64::try_from(key.overlap.as_secs()).unwrap_or(i64::MAX)),
                }),
            },
            None => NamedKey { current: generate(rng)?, rotation: key.rotation, previous: None },
        };
        keys.insert(key.name.clone(), named);
    }
    tell_apart(&mut keys, rng)?;
    Ok(StreamKeys(keys))
}

/// One key is one row: of a key that stands twice in a Secret that somebody
/// edited, the first name keeps it; a previous one that is in use again is
/// previous no more.
fn tell_apart(
    keys: &mut BTreeMap<String, NamedKey>,
    rng: &mut impl CryptoRng,
) -> Result<(), InvalidId> {
    let mut used = BTreeSet::new();
    for named in keys.values_mut() {
        if !used.insert(named.current.id().clone()) {
            named.current = generate(rng)?;
            used.insert(named.current.id().clone());
        }
    }
    for named in keys.values_mut() {
        named.previous = named.previous.take().filter(|p| used.insert(p.key.id().clone()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn spec(rotation: u32) -> Vec<ValidatedKey> {
        let overlap = Duration::from_mins(10);
        vec![ValidatedKey { name: "main".to_owned(), rotation, overlap }]
    }

    #[test]
    fn a_key_stays_until_its_rotation_changes() {
        let mut rng = StdRng::seed_from_u64(1);
        let first = desired(&spec(0), &StreamKeys::default(), 1_000, &mut rng).unwrap();
        let again = desired(&spec(0), &first, 2_000, &mut rng).unwrap();
        assert_eq!(first, again);

        let rotated = desired(&spec(1), &first, 3_000, &mut rng).unwrap();
        let main = &rotated.0["main"];
        assert_ne!(main.current, first.0["main"].current);
        let previous = main.previous.as_ref().unwrap();
        assert_eq!(previous.key, first.0["main"].current);
        assert_eq!(previous.until, 3_600);

        let later = desired(&spec(1), &rotated, 3_600, &mut rng).unwrap();
        assert_eq!(later.0["main"].previous, None);
        assert_eq!(later.0["main"].current, main.current);
    }

    #[test]
    fn a_key_that_stands_twice_in_the_secret_is_one_names_only() {
        let mut rng = StdRng::seed_from_u64(1);
        let named = |name: &str| ValidatedKey { name: name.to_owned(), ..spec(0).remove(0) };
        let both = [named("main"), named("other")];
        let mut held = desired(&both, &StreamKeys::default(), 0, &mut rng).unwrap();
        let key = held.0["main"].current.clone();
        held.0.get_mut("other").unwrap().current = key.clone();
        held.0.get_mut("main").unwrap().previous = Some(PreviousKey { key: key.clone(), until: 9 });
        let apart = desired(&both, &held, 0, &mut rng).unwrap();
        assert_eq!(apart.0["main"].current, key);
        assert_eq!(apart.0["main"].previous, None);
        assert_ne!(apart.0["other"].current, key);
        assert_eq!(desired(&both, &apart, 0, &mut rng).unwrap(), apart, "and so it stays");
    }

    #[test]
    fn a_key_the_spec_does_not_name_goes() {
        let mut rng = StdRng::seed_from_u64(1);
        let first = desired(&spec(0), &StreamKeys::default(), 0, &mut rng).unwrap();
        assert!(desired(&[], &first, 0, &mut rng).unwrap().0.is_empty());
    }
}
