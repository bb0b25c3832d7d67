//! TLS objects.

use crate::config::raw::shape::{Schema, Shape, TEXTS, now};

pub(super) static TLS: Schema = Schema {
    keys: &[
        now("status", Shape::Bool),
        now("type", Shape::Text),
        now("server_name", Shape::Text),
        now("ca_cert", Shape::Text),
        now("cert_chain", Shape::Text),
        now("private_key", Shape::Secret),
        now("verify_client", Shape::Bool),
        now("require_client_cert", Shape::Bool),
        now("insecure_skip", Shape::Bool),
        now("cipher_suites", Shape::Text),
        now("ecdh_curves", Shape::Text),
        now("min_version", Shape::Text),
        now("max_version", Shape::Text),
        now("alpn", Shape::Text),
        now("ticket", Shape::Text),
        now("fall_back", Shape::Bool),
        now("extend_verify", Shape::Map(&Shape::Free)),
        now("callbacks", TEXTS),
        now("sds_source", Shape::Object(&SDS)),
    ],
};

static SDS: Schema = Schema {
    keys: &[
        now("CertificateConfig", Shape::Free),
        now("ValidationConfig", Shape::Free),
    ],
};
