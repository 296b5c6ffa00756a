//! Every object is one of the API's types, and nothing in it is lost on the way there and back.

use super::{EXAMPLE, OVERLAYS, objects};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingWebhookConfiguration,
};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

#[test]
fn every_object_is_of_a_known_type() {
    for folder in OVERLAYS.into_iter().chain([EXAMPLE]) {
        let all = objects(folder);
        assert!(all.len() > 4, "{folder}");
        for object in &all {
            let (kind, name) = (object["kind"].as_str().unwrap(), &object["metadata"]["name"]);
            assert_eq!(there_and_back(kind, object).as_ref(), Ok(object), "{folder}: {kind}/{name}");
        }
    }
}

fn there_and_back(kind: &str, object: &Value) -> Result<Value, String> {
    match kind {
        "ClusterRole" => typed::<ClusterRole>(object),
        "ClusterRoleBinding" => typed::<ClusterRoleBinding>(object),
        "ConfigMap" => typed::<ConfigMap>(object),
        "CronJob" => typed::<CronJob>(object),
        "Deployment" => typed::<Deployment>(object),
        "MutatingWebhookConfiguration" => typed::<MutatingWebhookConfiguration>(object),
        "Namespace" => typed::<Namespace>(object),
        "NetworkPolicy" => typed::<NetworkPolicy>(object),
        "PodDisruptionBudget" => typed::<PodDisruptionBudget>(object),
        "PriorityClass" => typed::<PriorityClass>(object),
        "Role" => typed::<Role>(object),
        "RoleBinding" => typed::<RoleBinding>(object),
        "Secret" => typed::<Secret>(object),
        "Service" => typed::<Service>(object),
        "ServiceAccount" => typed::<ServiceAccount>(object),
        "StatefulSet" => typed::<StatefulSet>(object),
        "ValidatingAdmissionPolicy" => typed::<ValidatingAdmissionPolicy>(object),
        "ValidatingAdmissionPolicyBinding" => typed::<ValidatingAdmissionPolicyBinding>(object),
        "ValidatingWebhookConfiguration" => typed::<ValidatingWebhookConfiguration>(object),
        // cert-manager's, of which there are no types here: contents.rs looks at them.
        "Certificate" | "Issuer" => Ok(object.clone()),
        other => Err(format!("{other} is not expected")),
    }
}

fn typed<T: DeserializeOwned + Serialize>(object: &Value) -> Result<Value, String> {
    let read: T = serde_json::from_value(object.clone()).map_err(|error| error.to_string())?;
    serde_json::to_value(read).map_err(|error| error.to_string())
}
