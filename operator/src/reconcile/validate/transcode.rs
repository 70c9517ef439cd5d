//! `spec.transcode`.

use crate::api::transcode::{ResourceAmounts, Scheduling, Transcode};
use crate::reconcile::validated::ValidatedTranscode;

use super::InvalidSpec;
use super::bounds::{invalid, number, subdomain};

pub(super) fn validate(transcode: &Transcode) -> Result<ValidatedTranscode, InvalidSpec> {
    number("spec.transcode.threads", transcode.threads, 1..=64)?;
    amounts("spec.transcode.resources.requests", &transcode.resources.requests)?;
    amounts("spec.transcode.resources.limits", &transcode.resources.limits)?;
    scheduling(&transcode.scheduling)?;
    let replicas = match transcode.redundancy {
        1 => 1,
        2 => 2,
        other => {
            return Err(invalid(
                "spec.transcode.redundancy",
                format!("is {other}, expected 1 to 2"),
            ));
        }
    };
    Ok(ValidatedTranscode {
        preset: transcode.preset,
        tune: transcode.tune,
        threads: transcode.threads,
        resources: transcode.resources.clone(),
        scheduling: transcode.scheduling.clone(),
        idle: transcode.idle,
        replicas,
    })
}

fn amounts(field: &str, amounts: &ResourceAmounts) -> Result<(), InvalidSpec> {
    if let Some(cpu) = &amounts.cpu {
        let number = cpu.strip_suffix('m');
        let good = match number {
            Some(millis) => is_digits(millis),
            None => match cpu.split_once('.') {
                Some((whole, part)) => is_digits(whole) && is_digits(part) && part.len() <= 3,
                None => is_digits(cpu),
            },
        };
        if !good || cpu.len() > 16 {
            return Err(invalid(
                format!("{field}.cpu"),
                format!("{cpu:?} is not cores such as 2, 1.5 or 500m"),
            ));
        }
    }
    if let Some(memory) = &amounts.memory {
        let digits = memory.trim_start_matches(|c: char| c.is_ascii_digit());
        let unit = ["", "Ki", "Mi", "Gi", "Ti", "k", "M", "G", "T"].contains(&digits);
        if !unit || digits.len() == memory.len() || memory.len() > 16 {
            return Err(invalid(
                format!("{field}.memory"),
                format!("{memory:?} is not bytes such as 512Mi, 2Gi or 1G"),
            ));
        }
    }
    Ok(())
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn scheduling(scheduling: &Scheduling) -> Result<(), InvalidSpec> {
    let field = "spec.transcode.scheduling";
    if scheduling.node_selector.len() > 16 {
        return Err(invalid(format!("{field}.nodeSelector"), "has more than 16 labels"));
    }
    if let Some((label, _)) = scheduling.node_selector.iter().find(|(_, value)| value.len() > 63) {
        return Err(invalid(
            format!("{field}.nodeSelector[{label}]"),
            "is longer than 63 characters",
        ));
    }
    if scheduling.tolerations.len() > 16 {
        return Err(invalid(format!("{field}.tolerations"), "has more than 16 entries"));
    }
    if let Some(class) = &scheduling.priority_class_name {
        subdomain(&format!("{field}.priorityClassName"), class)?;
    }
    Ok(())
}
