//! `template`: what would make pods that no cluster accepts, or that are not guarded.

use super::super::Checks;
use super::name;
use crate::config::template::{Risks, Template};
use crate::config::tree::{item, member};
use crate::config::words::quoted;

/// Reports every fault of it.
pub(super) fn check(c: &mut Checks<'_>, written: &Template) {
    let images = [
        ("template.image", Some(&written.image)),
        ("template.redirect_image", written.redirect_image.as_ref()),
    ];
    for (path, image) in images {
        if let Some(image) = image.filter(|image| !is_image(image)) {
            c.fault(path, "this is not an image")
                .found(quoted(image))
                .expected("REGISTRY/NAME:TAG or …@sha256:DIGEST");
        }
    }
    for (at, image) in written.accepted_images.iter().enumerate() {
        let path = item("template.accepted_images", at);
        if image == "*" {
            c.warn(&path, "a pod may have any image for its sidecar, one that lets everybody in, too");
        } else if !is_image(image.strip_suffix('*').unwrap_or(image)) {
            c.fault(&path, "this is not an image")
                .found(quoted(image))
                .expected("an image, or the beginning of one and `*`");
        }
    }
    for (at, image) in written.mesh_images.iter().enumerate() {
        // Without its end `docker.io/istio` would be `docker.io/istio-of-somebody-else`, too.
        let whole = image.strip_suffix(['/', ':', '@']).filter(|whole| is_image(whole));
        if whole.is_none() {
            c.fault(&item("template.mesh_images", at), "this is not the beginning of images")
                .found(quoted(image))
                .expected("such as `registry.example.com/istio/`, with `/`, `:` or `@` at its end");
        }
    }
    if let Some(policy) = &written.image_pull_policy
        && !POLICIES.contains(&policy.as_str())
    {
        c.fault("template.image_pull_policy", "this value is not allowed")
            .found(quoted(policy))
            .expected("`Always`, `IfNotPresent`, `Never` or null");
    }
    name(c, "template.config_map", &written.config_map);
    certificates(c, written);
    resources(c, written);
    if written.redirect_port == written.health_port {
        c.fault("template.health_port", "both ports are the same")
            .found(written.health_port.to_string())
            .expected("another port than `redirect_port`");
    }
    for key in written.app_env.keys().filter(|key| !is_variable(key)) {
        c.fault(&member("template.app_env", key), "this is not an environment variable")
            .found(quoted(key))
            .expected("letters, digits and `_`, not beginning with a digit");
    }
    if written.risks == Risks::Warn {
        c.warn(
            "template.risks",
            "pods that can get round clinch, or read its memory, are let in with a warning",
        );
    }
    if written.opt_out {
        c.warn("template.opt_out", "whoever may write a pod may leave out clinch");
    }
}

fn certificates(c: &mut Checks<'_>, written: &Template) {
    let from = &written.certificates;
    let ways =
        usize::from(from.secret.is_some()) + usize::from(from.csi.is_some()) + usize::from(from.spiffe);
    if ways > 1 {
        c.fault("template.certificates", "certificates can't come from two places")
            .found(format!("{ways} of them"))
            .expected("one of `secret`, `csi` and `spiffe`");
    }
    if let Some(secret) = &from.secret {
        name(c, "template.certificates.secret", secret);
    }
    if from.csi.as_ref().is_some_and(|csi| csi.driver.is_empty()) {
        c.fault("template.certificates.csi.driver", "the driver has no name")
            .expected("such as `csi.cert-manager.io`");
    }
}

fn resources(c: &mut Checks<'_>, written: &Template) {
    let of = &written.resources;
    for (key, quantity) in [
        ("cpu_request", &of.cpu_request),
        ("cpu_limit", &of.cpu_limit),
        ("memory_request", &of.memory_request),
        ("memory_limit", &of.memory_limit),
    ] {
        if let Some(quantity) = quantity.as_ref().filter(|quantity| !is_quantity(quantity)) {
            c.fault(&member("template.resources", key), "this is not a quantity")
                .found(quoted(quantity))
                .expected("a quantity of Kubernetes, such as `50m`, `2`, `64Mi`");
        }
    }
}

/// What can't be an image at all is found; whether there is one is the kubelet's to say.
fn is_image(text: &str) -> bool {
    !text.is_empty() && text.len() <= 1024 && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*')
}

fn is_variable(text: &str) -> bool {
    let letter = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    text.bytes().next().as_ref().is_some_and(letter)
        && text.bytes().all(|byte| letter(&byte) || byte.is_ascii_digit())
}

/// Kubernetes: a decimal number and a suffix.
fn is_quantity(text: &str) -> bool {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    number.parse::<f64>().is_ok_and(f64::is_finite) && SUFFIXES.contains(&suffix)
}

const POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];
const SUFFIXES: [&str; 13] = ["", "m", "k", "M", "G", "T", "P", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
