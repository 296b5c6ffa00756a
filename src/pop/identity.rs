//! The identity headers the service receives (DESIGN: headers to the service).
use super::Verified;
use http::{HeaderMap, HeaderName};

/// Removes every header whose name, after folding `_` and `.` to `-`, begins with `clinch-`, and those in `extra`.
pub fn strip(_headers: &mut HeaderMap, _extra: &[(HeaderName, String)]) {
    todo!()
}

/// Writes the identity. Only a Grant calls this.
pub(crate) fn write(_verified: &Verified, _extra: &[(HeaderName, String)], _headers: &mut HeaderMap) {
    todo!()
}
