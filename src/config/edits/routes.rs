//! The routes of one virtual host, found by a domain as MOSN's update calls name it.

use super::EditError;
use crate::config::list::List;
use crate::config::raw::Value;

/// Adds a route behind those there are.
pub(super) fn add(router: &mut Value, domain: &str, route: Value) -> Result<(), EditError> {
    virtual_host(router, domain)?
        .items_mut("routers")
        .push(route);
    Ok(())
}

/// Removes every route.
pub(super) fn clear(router: &mut Value, domain: &str) -> Result<(), EditError> {
    *virtual_host(router, domain)?.items_mut("routers") = List::default();
    Ok(())
}

/// The virtual host that has exactly this domain; `""` stands for `*`, the default one.
fn virtual_host<'r>(router: &'r mut Value, domain: &str) -> Result<&'r mut Value, EditError> {
    let domain = match domain {
        "" => "*",
        domain => domain,
    };
    let is_for = |host: &Value| {
        let mut domains = host.items_of("domains").filter_map(Value::as_text);
        domains.any(|one| one.eq_ignore_ascii_case(domain))
    };
    let hosts = router.items_mut("virtual_hosts");
    let found = hosts.iter().position(is_for);
    found
        .and_then(|place| hosts.get_mut(place))
        .ok_or_else(|| EditError::NotFound(format!("no virtual host is for the domain `{domain}`")))
}
