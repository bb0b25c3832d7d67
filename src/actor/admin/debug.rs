//! The update calls of MOSN's own tests, which here need the right to write.

use hyper::StatusCode;

use super::door::Call;
use super::reply::Reply;
use crate::actor::root::{Terms, Want};
use crate::config::{Edit, EditError, Fragment};

/// Adds or replaces a listener, a router, a cluster, or extensions.
pub(super) async fn update_config(call: Call) -> Reply {
    let read = || {
        let asked = Fragment::read(&call.body)?;
        let config = asked.part("config")?;
        Ok(Some(match &*asked.text("type")? {
            "listener" => Edit::put_listener(config)?,
            "router" => Edit::put_router(config)?,
            "cluster" => Edit::put_cluster(config)?,
            "extend" => Edit::PutExtensions(config.parts()?),
            _ => return Ok(None),
        }))
    };
    change(&call, read()).await
}

/// Adds a route to the virtual host for a domain, or removes all that it has.
pub(super) async fn update_route(call: Call) -> Reply {
    let read = || {
        let asked = Fragment::read(&call.body)?;
        let config = asked.part("config")?;
        let router = config.text("router_config_name")?;
        let domain = config.text("domain").unwrap_or_default();
        Ok(Some(match &*asked.text("type")? {
            "add" => Edit::add_route(&router, domain, config.part("route")?)?,
            "remove" => Edit::RemoveRoutes {
                router: router.into(),
                domain,
            },
            _ => return Ok(None),
        }))
    };
    let edit = read();
    let running = call.door.root.running();
    if let Ok(Some(Edit::AddRoute { router, .. } | Edit::RemoveRoutes { router, .. })) = &edit
        && running
            .configuration
            .plan()
            .router(router.as_str())
            .is_none()
    {
        // MOSN does nothing to a router that it does not know, and says so to nobody.
        return success();
    }
    change(&call, edit).await
}

/// The switch of TLS towards upstream hosts.
pub(super) async fn disable_tls(_: Call) -> Reply {
    invalid("TLS is not yet in effect: there is nothing to switch")
}

async fn change(call: &Call, edit: Result<Option<Edit>, EditError>) -> Reply {
    let edit = match edit {
        Ok(Some(edit)) => edit,
        Ok(None) => return Reply::text(StatusCode::BAD_REQUEST, "invalid type, do nothing"),
        Err(error) => return invalid(&error.to_string()),
    };
    let terms = Terms {
        by: call.by.clone(),
        ..Terms::default()
    };
    match call.door.root.alter(Want::Edits(vec![edit]), terms).await {
        Ok(_) => success(),
        Err(error) => invalid(&error.to_string()),
    }
}

fn success() -> Reply {
    Reply::text(StatusCode::OK, "success")
}

fn invalid(why: &str) -> Reply {
    Reply::text(StatusCode::BAD_REQUEST, format!("invalid request: {why}"))
}
