//! How a cluster's hosts are chosen: `lb_type` and what is beside it.

use super::Scope;
use super::text::field_name;
use crate::config::diagnostics::{Code, Severity};
use crate::config::plan::{
    Balancer, Bias, Choices, Fallback, LB_TYPES, Metadata, OriginalDestination, Reached, SlowStart,
    Subsets,
};
use crate::config::raw::{Cursor, nearest};

/// More draws than this cost more than a look at every host, and say no more.
const MOST_DRAWS: u32 = 100;

/// A bias beyond this makes one host in a thousand of what another one is at half its load.
const MOST_BIAS: f64 = 10.0;

/// What a choice of hosts is made of, but for the hosts.
pub(super) struct Balancing {
    pub(super) balancer: Balancer,
    pub(super) bias: Bias,
    pub(super) slow_start: Option<SlowStart>,
    pub(super) subsets: Option<Subsets>,
    pub(super) original_destination: OriginalDestination,
}

pub(super) fn balancing(cluster: &Cursor<'_>, scope: &mut Scope<'_>) -> Balancing {
    let balancer = choices(lb_type(cluster, scope), cluster, scope);
    if balancer == Balancer::OriginalDestination
        && let Some(hosts) = cluster.filled("hosts")
    {
        let message = "`LB_ORIGINAL_DST` has no use for hosts, nor has it in MOSN";
        scope.push(hosts.note(Code::NoEffect, message));
    }
    Balancing {
        balancer,
        bias: bias(balancer, cluster, scope),
        slow_start: slow_start(balancer, cluster, scope),
        subsets: subsets(balancer, cluster, scope),
        original_destination: original_destination(balancer, cluster, scope),
    }
}

fn lb_type(cluster: &Cursor<'_>, scope: &mut Scope<'_>) -> Balancer {
    let Some((name, at)) = cluster.text("lb_type") else {
        return Balancer::default();
    };
    let names = || LB_TYPES.iter().map(|(name, _)| *name);
    if let Some((_, balancer)) = LB_TYPES.iter().find(|(known, _)| *known == name) {
        return *balancer;
    }
    let message = "round robin is used instead of this `lb_type`";
    scope.push(
        at.finding(Severity::Warning, Code::UnknownValue, message)
            .found(at.brief())
            .accepted(names().collect::<Vec<_>>().join(", "))
            .suggest(nearest(name, names())),
    );
    Balancer::RoundRobin
}

/// `lbconfig.choice_count`.
fn choices(balancer: Balancer, cluster: &Cursor<'_>, scope: &mut Scope<'_>) -> Balancer {
    let choices = cluster
        .get("lbconfig")
        .and_then(|config| config.integer("choice_count"));
    let Some((count, at)) = choices else {
        return balancer;
    };
    let choices = match u32::try_from(count) {
        Ok(0) => Choices::All,
        Ok(count) if count <= MOST_DRAWS => Choices::Random(count),
        Ok(_) | Err(_) => {
            let diagnostic = at.error(
                Code::OutOfRange,
                "so many draws say no more than a look at all",
            );
            scope.push(
                diagnostic
                    .found(at.brief())
                    .accepted("an integer from 0 to 100"),
            );
            Choices::All
        }
    };
    match balancer {
        Balancer::LeastRequest(_) => Balancer::LeastRequest(choices),
        Balancer::LeastConnection(_) => Balancer::LeastConnection(choices),
        Balancer::PeakEwma(_) => Balancer::PeakEwma(choices),
        other => {
            no_effect("choice_count", &at, scope);
            other
        }
    }
}

fn bias(balancer: Balancer, cluster: &Cursor<'_>, scope: &mut Scope<'_>) -> Bias {
    let mut bias = Bias::default();
    let ewma = matches!(balancer, Balancer::PeakEwma(_));
    if ewma {
        bias.memory = scope.memory;
    }
    let Some(config) = cluster.get("lbconfig") else {
        return bias;
    };
    let least = matches!(
        balancer,
        Balancer::LeastRequest(_) | Balancer::LeastConnection(_)
    );
    for (name, value, counts) in [
        ("active_request_bias", &mut bias.active, least || ewma),
        ("client_error_bias", &mut bias.client_errors, ewma),
        ("server_error_bias", &mut bias.server_errors, ewma),
    ] {
        let Some((written, at)) = config.number(name) else {
            continue;
        };
        if !counts {
            no_effect(name, &at, scope);
        } else if !(0.0..=MOST_BIAS).contains(&written) {
            out_of_range(name, &at, "a number from 0 to 10", scope);
        } else {
            *value = written;
        }
    }
    bias
}

fn slow_start(
    balancer: Balancer,
    cluster: &Cursor<'_>,
    scope: &mut Scope<'_>,
) -> Option<SlowStart> {
    let at = cluster.filled("slow_start").filter(|at| !at.is_wrong())?;
    match at.text("mode") {
        None | Some(("duration", _)) => {}
        Some((_, mode)) => {
            let message = "no host starts slowly in this mode";
            let diagnostic = mode.warning(Code::UnknownValue, message);
            scope.push(diagnostic.found(mode.brief()).accepted("duration"));
            return None;
        }
    }
    let window = scope.duration(&at, "slow_start_duration");
    let number = |name: &str, default: f64, most: f64, range: &str, scope: &mut Scope<'_>| {
        let Some((value, at)) = at.number(name) else {
            return default;
        };
        if value > 0.0 && value <= most {
            return value;
        }
        out_of_range(name, &at, range, scope);
        default
    };
    let range = "a number above 0, at most 100";
    let aggression = number("aggression", 1.0, 100.0, range, scope);
    let range = "a number above 0, at most 1";
    let least = number("min_weight_percent", 0.1, 1.0, range, scope);
    if !matches!(
        balancer,
        Balancer::WeightedRoundRobin | Balancer::LeastRequest(_) | Balancer::LeastConnection(_)
    ) {
        no_effect("slow_start", &at, scope);
        return None;
    }
    let window = window.filter(|window| !window.is_zero())?;
    Some(SlowStart {
        window,
        aggression,
        least,
    })
}

fn subsets(balancer: Balancer, cluster: &Cursor<'_>, scope: &mut Scope<'_>) -> Option<Subsets> {
    let at = cluster.get("lb_subset_config")?;
    let mut selectors: Vec<Vec<String>> = Vec::new();
    for selector in at.list("subset_selectors") {
        let keys = selector.items();
        let mut keys: Vec<_> = keys.iter().filter_map(Cursor::as_text).collect();
        keys.sort_unstable();
        keys.dedup();
        if keys.is_empty() && !selector.is_wrong() {
            let message = "a selector without keys selects nothing";
            scope.push(selector.note(Code::NoEffect, message));
        }
        let keys: Vec<_> = keys.into_iter().map(str::to_owned).collect();
        if !keys.is_empty() && !selectors.contains(&keys) {
            selectors.push(keys);
        }
    }
    if !selectors.is_empty() && balancer == Balancer::OriginalDestination {
        no_effect("lb_subset_config", &at, scope);
        return None;
    }
    let fallback = fallback(&at, scope);
    (!selectors.is_empty()).then_some(Subsets {
        selectors,
        fallback,
    })
}

fn fallback(at: &Cursor<'_>, scope: &mut Scope<'_>) -> Fallback {
    let default = at.filled("default_subset");
    let policy = at.integer("fall_back_policy");
    let policy = match policy {
        None | Some((0, _)) => Fallback::None,
        Some((1, _)) => Fallback::Any,
        Some((2, _)) => {
            let pairs = default.map_or_else(Vec::new, |at| at.members());
            let text = |(key, at): (&str, Cursor<'_>)| Some((key.to_owned(), at.as_text()?.into()));
            return Fallback::Default(pairs.into_iter().filter_map(text).collect::<Metadata>());
        }
        Some((_, at)) => {
            let message = "there is no such policy: requests without a subset get no host";
            let diagnostic = at.warning(Code::UnknownValue, message);
            scope.push(
                diagnostic
                    .found(at.brief())
                    .accepted("0 (none), 1 (any host), 2 (`default_subset`)"),
            );
            Fallback::None
        }
    };
    if let Some(at) = default {
        let message = "`default_subset` counts only with a `fall_back_policy` of 2";
        scope.push(at.note(Code::NoEffect, message));
    }
    policy
}

fn original_destination(
    balancer: Balancer,
    cluster: &Cursor<'_>,
    scope: &mut Scope<'_>,
) -> OriginalDestination {
    let Some(at) = cluster.filled("original_dst_lb_config") else {
        return OriginalDestination::default();
    };
    if balancer != Balancer::OriginalDestination {
        no_effect("original_dst_lb_config", &at, scope);
        return OriginalDestination::default();
    }
    let name = at.text("header_name");
    let field = match (at.flag("use_header"), name) {
        (true, Some((name, at))) => field_name(name, &at, scope),
        (true, None) => Some("host".to_owned()),
        (false, Some((_, at))) => {
            let message = "`header_name` counts only with `use_header`";
            scope.push(at.note(Code::NoEffect, message));
            None
        }
        (false, None) => None,
    };
    OriginalDestination {
        field,
        reached: match at.flag("replace_local") {
            true => Reached::Here,
            false => Reached::There,
        },
    }
}

fn no_effect(name: &str, at: &Cursor<'_>, scope: &mut Scope<'_>) {
    let message = format!("`{name}` has no effect on this `lb_type`");
    scope.push(at.note(Code::NoEffect, message));
}

fn out_of_range(name: &str, at: &Cursor<'_>, range: &str, scope: &mut Scope<'_>) {
    let diagnostic = at.error(Code::OutOfRange, format!("`{name}` is out of range"));
    scope.push(diagnostic.found(at.brief()).accepted(range));
}
