//! What would become of a request, without sending it.

use banyan::proxy::http::Asked;
use serde_json::{Value, json};

use crate::peers::Host;
use crate::site::{Running, Site};

fn routes() -> Value {
    let by = |service: &str| json!({ "headers": [{ "name": "service", "value": service }] });
    json!([
        { "match": { "prefix": "/" }, "route": { "cluster_name": "main" } },
        { "match": by("no"), "direct_response": { "status": 403 } },
        { "match": by("elsewhere"), "redirect": { "path_redirect": "/" } },
        { "match": by("s"), "route": {
            "cluster_name": "main", "timeout": "5s",
            "request_headers_to_add": [{ "header": { "key": "by", "value": "us" } }],
            "request_headers_to_remove": ["secret"] },
          "request_mirror_policies": { "cluster": "main", "percent": 10 } },
    ])
}

async fn running(protocols: &str) -> (Running, Host) {
    let host = Host::new().await;
    let site = Site::routes(routes()).cluster("main", &[&host]);
    let site = site.proxy("downstream_protocol", json!(protocols));
    (site.start().await, host)
}

fn asked(service: &str) -> Asked {
    let fields = [("Secret", "1"), ("secret", "2"), ("service", service)];
    Asked {
        method: "GET".to_owned(),
        target: "/".to_owned(),
        host: Some("a.example".to_owned()),
        fields: fields
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
        ..Asked::default()
    }
}

fn told(running: &Running, asked: &Asked) -> String {
    running.proxy.explain(None, asked).unwrap().to_string()
}

#[actix::test]
async fn of_a_request_only_the_headers_count() {
    let (running, _host) = running("bolt").await;
    let told_of = |service: &str| told(&running, &asked(service));
    let text = told_of("s");
    for line in [
        "  router r",
        "    not route 0, prefix /: it has no path",
        "    route 3, ",
        "  is forwarded as",
        "    Secret: 1",
        "    service: s",
        "    by: us",
        "  may take 5000 ms",
        "cluster main: 100 % of the requests",
    ] {
        assert!(
            text.lines().any(|found| found.starts_with(line)),
            "{line}\n{text}"
        );
    }
    assert!(
        !text.contains("secret: 2") && !text.contains("HTTP"),
        "{text}"
    );
    for (service, part) in [
        ("no", "403: the route answers it itself"),
        (
            "elsewhere",
            "500: the route redirects, which is for HTTP only",
        ),
        ("nobody", "404: no route matches in router `r`"),
    ] {
        let text = told_of(service);
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[actix::test]
async fn where_there_are_several_protocols_one_is_asked_for() {
    let (running, _host) = running("Auto").await;
    let http = told(&running, &asked("s"));
    assert!(http.contains("GET / HTTP/1.1"), "{http}");
    let bolt = Asked {
        protocol: Some("boltv2".to_owned()),
        ..asked("s")
    };
    assert!(told(&running, &bolt).contains("    by: us"));
    let other = Asked {
        protocol: Some("dubbo".to_owned()),
        ..asked("s")
    };
    let why = running.proxy.explain(None, &other).unwrap_err();
    assert_eq!(why.to_string(), "listener `app` does not speak `dubbo`");
}
