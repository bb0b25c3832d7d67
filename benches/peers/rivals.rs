//! How the rivals are configured: as their manuals advise for the traffic at hand.

use std::path::Path;

use serde_json::{Value, json};

use crate::peers::Setup;
use crate::scenarios::Traffic;

pub(crate) fn haproxy(setup: &Setup<'_>) -> String {
    let Setup { port, workers, .. } = setup;
    // A connection takes two descriptors, and two more when it splices; some machines allow 20,000.
    let (connections, tuning, mode, reuse) = match setup.traffic {
        Traffic::Messages | Traffic::Rpc => (9_800, "", "tcp\n", ""),
        Traffic::Bulk => (
            1_000,
            " tune.pipesize 1048576\n",
            "tcp\n option splice-request\n option splice-response\n",
            "",
        ),
        Traffic::Http => (
            9_800,
            "",
            "http\n timeout http-keep-alive 1h\n",
            " http-reuse always\n",
        ),
    };
    let mut text = format!(
        "global\n nbthread {workers}\n maxconn {connections}\n{tuning}\
         defaults\n timeout connect 5s\n timeout client 1h\n timeout server 1h\n mode {mode}"
    );
    text += &format!("frontend comparison\n bind 127.0.0.1:{port}\n default_backend origin\n");
    text += &format!("backend origin\n balance leastconn\n{reuse}");
    for origin in setup.origins {
        text += &format!(" server o{origin} 127.0.0.1:{origin}\n");
    }
    text
}

pub(crate) fn nginx(setup: &Setup<'_>) -> String {
    let &Setup {
        port,
        workers,
        directory,
        ..
    } = setup;
    let place = directory.display();
    let mut servers = String::new();
    for origin in setup.origins {
        servers += &format!(" server 127.0.0.1:{origin};");
    }
    let proxied = match setup.traffic {
        Traffic::Messages | Traffic::Rpc => nginx_stream(port, &servers, "16k"),
        Traffic::Bulk => nginx_stream(port, &servers, "64k"),
        Traffic::Http => format!(
            "http {{\n access_log off; keepalive_timeout 1h; keepalive_requests 1000000000;\n\
             \x20proxy_temp_path {place}/proxy; client_body_temp_path {place}/body;\n\
             \x20fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi;\n\
             \x20scgi_temp_path {place}/scgi;\n\
             \x20upstream origin {{ least_conn;{servers} keepalive 512; keepalive_timeout 1h;\n\
             \x20 keepalive_requests 1000000000; }}\n\
             \x20server {{\n  listen 127.0.0.1:{port} reuseport backlog=4096;\n\
             \x20 location / {{ proxy_pass http://origin; proxy_http_version 1.1;\n\
             \x20  proxy_set_header Connection \"\"; }}\n }}\n}}\n"
        ),
    };
    let module = "/usr/lib/nginx/modules/ngx_stream_module.so";
    let mut text = String::new();
    // Distributions ship the module apart; builds from source have it inside.
    if Path::new(module).exists() {
        text += &format!("load_module {module};\n");
    }
    text += &format!(
        "daemon off; worker_processes {workers}; error_log /dev/null crit;\n\
         pid {place}/nginx.pid;\n\
         events {{ worker_connections 19000; }}\n{proxied}"
    );
    text
}

fn nginx_stream(port: u16, servers: &str, buffer: &str) -> String {
    format!(
        "stream {{\n upstream origin {{ least_conn;{servers} }}\n\
         \x20server {{\n  listen 127.0.0.1:{port} reuseport backlog=4096;\n\
         \x20 proxy_pass origin; proxy_connect_timeout 5s; proxy_timeout 1h; \
         proxy_buffer_size {buffer};\n }}\n}}\n"
    )
}

pub(crate) fn envoy(setup: &Setup<'_>) -> String {
    let endpoints: Vec<_> = setup
        .origins
        .iter()
        .map(|&port| json!({ "endpoint": { "address": socket(port) } }))
        .collect();
    let most = 100_000;
    let limits = json!({
        "max_connections": most, "max_pending_requests": most, "max_requests": most,
    });
    let cluster = json!({
        "name": "origin",
        "type": "STATIC",
        "connect_timeout": "5s",
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": { "thresholds": [limits] },
        "load_assignment": {
            "cluster_name": "origin", "endpoints": [{ "lb_endpoints": endpoints }],
        },
    });
    let listener = json!({
        "name": "comparison",
        "address": socket(setup.port),
        "tcp_backlog_size": 4096,
        "filter_chains": [{ "filters": [envoy_filter(setup.traffic)] }],
    });
    json!({ "static_resources": { "listeners": [listener], "clusters": [cluster] } }).to_string()
}

fn envoy_filter(traffic: Traffic) -> Value {
    let package = "type.googleapis.com/envoy.extensions.filters";
    match traffic {
        Traffic::Messages | Traffic::Bulk | Traffic::Rpc => json!({
            "name": "tcp",
            "typed_config": {
                "@type": format!("{package}.network.tcp_proxy.v3.TcpProxy"),
                "stat_prefix": "tcp", "cluster": "origin", "idle_timeout": "3600s",
            },
        }),
        Traffic::Http => json!({
            "name": "http",
            "typed_config": {
                "@type": format!(
                    "{package}.network.http_connection_manager.v3.HttpConnectionManager"
                ),
                "stat_prefix": "http",
                "codec_type": "HTTP1",
                "generate_request_id": false,
                "stream_idle_timeout": "0s",
                "common_http_protocol_options": { "idle_timeout": "3600s" },
                "route_config": { "virtual_hosts": [{
                    "name": "all", "domains": ["*"],
                    "routes": [{
                        "match": { "prefix": "/" },
                        "route": { "cluster": "origin", "timeout": "0s" },
                    }],
                }] },
                "http_filters": [{
                    "name": "router",
                    "typed_config": {
                        "@type": format!("{package}.http.router.v3.Router"),
                        "suppress_envoy_headers": true,
                    },
                }],
            },
        }),
    }
}

fn socket(port: u16) -> Value {
    json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } })
}
