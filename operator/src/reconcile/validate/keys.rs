//! `spec.keys`.

use std::collections::BTreeSet;

use crate::api::keys::KeySpec;
use crate::reconcile::validated::ValidatedKey;

use super::InvalidSpec;
use super::bounds::{duration, invalid, label, number};

pub(super) fn validate(keys: &[KeySpec]) -> Result<Vec<ValidatedKey>, InvalidSpec> {
    if keys.len() > 16 {
        return Err(invalid("spec.keys", format!("has {} keys, expected at most 16", keys.len())));
    }
    let mut names = BTreeSet::new();
    keys.iter()
        .enumerate()
        .map(|(i, key)| {
            let field = format!("spec.keys[{i}]");
            label(&format!("{field}.name"), &key.name, 32)?;
            if !names.insert(&key.name) {
                return Err(invalid(
                    format!("{field}.name"),
                    format!("{:?} is there twice", key.name),
                ));
            }
            number(&format!("{field}.rotation"), key.rotation, 0..=1_000_000)?;
            let overlap = duration(&format!("{field}.overlap"), &key.overlap, "0s", "24h")?;
            Ok(ValidatedKey { name: key.name.clone(), rotation: key.rotation, overlap })
        })
        .collect()
}
