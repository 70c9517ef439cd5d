//! `spec.playback`.

use millrace_media::published;

use crate::api::playback::{Access, Playback};
use crate::reconcile::validated::{OwnHost, Route, ValidatedPlayback};

use super::InvalidSpec;
use super::bounds::{invalid, label, subdomain};

pub(super) fn validate(playback: &Playback) -> Result<ValidatedPlayback, InvalidSpec> {
    let access = match playback.access {
        Access::Public => published::Access::Public,
        Access::Token => published::Access::Token,
    };
    let route = route(playback)?;
    let tls_secret = playback.tls.as_ref().map(|tls| tls.secret_name.clone());
    if let Some(secret) = &tls_secret {
        subdomain("spec.playback.tls.secretName", secret)?;
    }
    if tls_secret.is_some() && matches!(route, Some(Route::Gateway(_))) {
        return Err(invalid(
            "spec.playback.tls",
            "excludes gateway, which is set: the certificate is that of the Gateway's listener",
        ));
    }
    let Some(hostname) = playback.hostname.clone() else {
        if route.is_some() || tls_secret.is_some() {
            return Err(invalid(
                "spec.playback.hostname",
                "is missing; ingressClassName, gateway and tls need one",
            ));
        }
        return Ok(ValidatedPlayback { host: None, access });
    };
    subdomain("spec.playback.hostname", &hostname)?;
    if hostname.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        let why = format!("{hostname:?} is an address, expected a name");
        return Err(invalid("spec.playback.hostname", why));
    }
    Ok(ValidatedPlayback { host: Some(OwnHost { hostname, route, tls_secret }), access })
}

fn route(playback: &Playback) -> Result<Option<Route>, InvalidSpec> {
    match (&playback.ingress_class_name, &playback.gateway) {
        (Some(_), Some(_)) => {
            Err(invalid("spec.playback.gateway", "excludes ingressClassName, which is set"))
        }
        (Some(class), None) => {
            subdomain("spec.playback.ingressClassName", class)?;
            Ok(Some(Route::Ingress(class.clone())))
        }
        (None, Some(gateway)) => {
            subdomain("spec.playback.gateway.name", &gateway.name)?;
            label("spec.playback.gateway.namespace", &gateway.namespace, 63)?;
            if let Some(section) = &gateway.section_name {
                subdomain("spec.playback.gateway.sectionName", section)?;
            }
            Ok(Some(Route::Gateway(gateway.clone())))
        }
        (None, None) => Ok(None),
    }
}
