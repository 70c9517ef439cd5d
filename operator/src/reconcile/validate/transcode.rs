//! `spec.transcode`.

use crate::api::transcode::{
    ResourceAmounts, Scheduling, TolerationOperator, TolerationSpec, Transcode,
};
use crate::reconcile::build::quantity::{Bytes, MilliCores};
use crate::reconcile::validated::{Amounts, ValidatedTranscode};

use super::InvalidSpec;
use super::bounds::{invalid, label_value, number, qualified_name, subdomain};

pub(super) fn validate(transcode: &Transcode) -> Result<ValidatedTranscode, InvalidSpec> {
    number("spec.transcode.threads", transcode.threads, 1..=64)?;
    let requests = amounts("spec.transcode.resources.requests", &transcode.resources.requests)?;
    let limits = amounts("spec.transcode.resources.limits", &transcode.resources.limits)?;
    within(&requests, &limits)?;
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
        requests,
        limits,
        scheduling: transcode.scheduling.clone(),
        idle: transcode.idle,
        replicas,
    })
}

fn amounts(field: &str, amounts: &ResourceAmounts) -> Result<Amounts, InvalidSpec> {
    let cpu = amounts.cpu.as_deref().map(|text| {
        MilliCores::parse(text).filter(|_| text.len() <= 16).ok_or_else(|| {
            invalid(format!("{field}.cpu"), format!("{text:?} is not cores such as 2, 1.5 or 500m"))
        })
    });
    let memory = amounts.memory.as_deref().map(|text| {
        Bytes::parse(text).filter(|_| text.len() <= 16).ok_or_else(|| {
            invalid(
                format!("{field}.memory"),
                format!("{text:?} is not bytes such as 512Mi, 2Gi or 1G"),
            )
        })
    });
    Ok(Amounts { cpu: cpu.transpose()?, memory: memory.transpose()? })
}

/// A pod that asks for more than it may use is refused by the API server.
fn within(requests: &Amounts, limits: &Amounts) -> Result<(), InvalidSpec> {
    let field = |name| format!("spec.transcode.resources.requests.{name}");
    if let (Some(request), Some(limit)) = (requests.cpu, limits.cpu)
        && request > limit
    {
        return Err(invalid(field("cpu"), format!("is {request}, above the limit of {limit}")));
    }
    if let (Some(request), Some(limit)) = (requests.memory, limits.memory)
        && request.get() > limit.get()
    {
        return Err(invalid(field("memory"), format!("is {request}, above the limit of {limit}")));
    }
    Ok(())
}

fn scheduling(scheduling: &Scheduling) -> Result<(), InvalidSpec> {
    let field = "spec.transcode.scheduling";
    if scheduling.node_selector.len() > 16 {
        return Err(invalid(format!("{field}.nodeSelector"), "has more than 16 labels"));
    }
    for (key, value) in &scheduling.node_selector {
        let field = format!("{field}.nodeSelector[{key}]");
        qualified_name(&field, key)?;
        label_value(&field, value)?;
    }
    if scheduling.tolerations.len() > 16 {
        return Err(invalid(format!("{field}.tolerations"), "has more than 16 entries"));
    }
    for (i, one) in scheduling.tolerations.iter().enumerate() {
        toleration(&format!("{field}.tolerations[{i}]"), one)?;
    }
    if let Some(class) = &scheduling.priority_class_name {
        subdomain(&format!("{field}.priorityClassName"), class)?;
    }
    Ok(())
}

/// As the API server checks it in a pod.
fn toleration(field: &str, toleration: &TolerationSpec) -> Result<(), InvalidSpec> {
    let exists = toleration.operator == TolerationOperator::Exists;
    if !toleration.key.is_empty() {
        qualified_name(&format!("{field}.key"), &toleration.key)?;
    } else if !exists {
        return Err(invalid(format!("{field}.key"), "is missing; only Exists needs none"));
    }
    if exists && !toleration.value.is_empty() {
        return Err(invalid(format!("{field}.value"), "is for Equal, and operator is Exists"));
    }
    label_value(&format!("{field}.value"), &toleration.value)
}
