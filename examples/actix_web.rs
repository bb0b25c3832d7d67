//! An actix-web application with a proxy inside: it shows the proxy's state, and changes a cluster.
//!
//! `cargo run --example actix_web` serves until it is interrupted, and says what to ask it; with
//! `-- --once` it asks itself and ends, and fails if anything is off.
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::StatusCode;
use actix_web::{App, HttpResponse, HttpServer, ResponseError, web};
use banyan::config::{Alone, Configuration, Edit, EditError, Format, Fragment, Source, parse};
use banyan::proxy::http::Asked;
use banyan::{ApplyError, Proxy, ProxyHandle, Terms};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Why a page cannot be shown. Whoever asks reads the reason.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0}")]
    Apply(#[from] ApplyError),
    #[error("{0}")]
    Edit(#[from] EditError),
    #[error("this is not JSON: {0}")]
    Json(String),
}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Apply(ApplyError::Busy) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Apply(_) | Self::Edit(_) | Self::Json(_) => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}

/// Listeners and clusters with what they have counted.
async fn state(proxy: web::Data<ProxyHandle>) -> Result<HttpResponse, Refused> {
    let state = proxy.snapshot().await?;
    Ok(page(&json!({
        "version": proxy.running().version,
        "listeners": state.listeners,
        "clusters": state.clusters,
    })))
}

/// Takes the hosts of a cluster from the body, as a configuration writes them.
async fn put_hosts(
    proxy: web::Data<ProxyHandle>,
    cluster: web::Path<String>,
    body: web::Bytes,
) -> Result<HttpResponse, Refused> {
    let hosts: Value =
        serde_json::from_slice(&body).map_err(|error| Refused::Json(error.to_string()))?;
    let edit = json!({ "put_hosts": { "cluster": cluster.as_str(), "hosts": hosts } });
    let edits = json!({ "edits": [edit] }).to_string();
    let edits = Edit::read_all(&Fragment::read(edits.as_bytes())?)?;
    let terms = Terms {
        by: "the application".into(),
        ..Terms::default()
    };
    let outcome = proxy.edit(edits, terms).await?;
    Ok(page(&json!({
        "version": outcome.version,
        "changes": outcome.summary.changes,
    })))
}

/// What would become of a request for a path.
async fn explain(proxy: web::Data<ProxyHandle>, path: web::Path<String>) -> HttpResponse {
    let asked = Asked {
        method: "GET".to_owned(),
        target: format!("/{path}"),
        host: Some("app.example".to_owned()),
        ..Asked::default()
    };
    match proxy.explain(None, &asked) {
        Ok(explanation) => HttpResponse::Ok().body(explanation.to_string()),
        Err(why) => HttpResponse::NotFound().body(why.to_string()),
    }
}

fn page(value: &Value) -> HttpResponse {
    let mut page = HttpResponse::Ok();
    page.content_type("application/json");
    page.body(format!("{value:#}\n"))
}

/// The application's pages.
fn pages(proxy: ProxyHandle) -> io::Result<(Server, SocketAddr)> {
    let proxy = web::Data::new(proxy);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(proxy.clone())
            .route("/state", web::get().to(state))
            .route("/clusters/{cluster}/hosts", web::put().to(put_hosts))
            .route("/explain/{path:.*}", web::get().to(explain))
    });
    // Signals are the application's: it ends the proxy first.
    let server = server.workers(1).disable_signals().bind("127.0.0.1:0")?;
    let address = server.addrs()[0];
    Ok((server.run(), address))
}

/// What the proxy stands before: a server that answers everyone with its name.
fn origin(name: &'static str) -> io::Result<(Server, SocketAddr)> {
    let answer = move || async move { name };
    let server = HttpServer::new(move || App::new().default_service(web::to(answer)));
    let server = server.workers(1).disable_signals().bind("127.0.0.1:0")?;
    let address = server.addrs()[0];
    Ok((server.run(), address))
}

fn document(host: SocketAddr) -> Value {
    let filter = json!({ "type": "proxy", "config": {
        "downstream_protocol": "Http1", "router_config_name": "routes" } });
    json!({
        "servers": [{
            "listeners": [{ "name": "door", "address": "127.0.0.1:0", "bind_port": true,
                "filter_chains": [{ "filters": [filter] }] }],
            "routers": [{ "router_config_name": "routes", "virtual_hosts": [{
                "name": "all", "domains": ["*"],
                "routers": [{ "match": { "prefix": "/" }, "route": { "cluster_name": "app" } }] }] }],
        }],
        "cluster_manager": { "clusters": [{
            "name": "app", "lb_type": "LB_ROUNDROBIN", "hosts": [{ "address": host.to_string() }] }] },
    })
}

/// Runs the proxy. Made of a document, not of a plan alone, it can be edited as administrators do.
async fn proxy(document: &Value) -> Result<ProxyHandle, Box<dyn Error>> {
    let text = document.to_string();
    let source = Source {
        file: "application",
        format: Format::Json,
        text: text.as_bytes(),
    };
    let configuration = Configuration::of(parse(&source, &Alone), &Alone);
    let configuration = configuration.map_err(|found| found.to_text())?;
    Ok(Proxy::default().workers(1).run(configuration).await?)
}

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let once = std::env::args().any(|argument| argument == "--once");
    let (a, to_a) = origin("a")?;
    let (b, to_b) = origin("b")?;
    let proxy = proxy(&document(to_a)).await?;
    let (pages, to_pages) = pages(proxy.clone())?;
    let door: SocketAddr = proxy.snapshot().await?.listeners[0].address.parse()?;
    println!("the proxy listens on {door}, the application on {to_pages}:");
    println!("  curl {to_pages}/state");
    println!("  curl {to_pages}/explain/any/path");
    println!("  curl -X PUT {to_pages}/clusters/app/hosts -d '[{{\"address\":\"{to_b}\"}}]'");

    let handles = [pages.handle(), a.handle(), b.handle()];
    let life = async {
        match once {
            true => tour(door, to_pages, [to_a, to_b]).await?,
            false => tokio::signal::ctrl_c().await?,
        }
        let cut = proxy.drain(Duration::from_secs(10)).await;
        proxy.ended().await?;
        println!("drained, {cut} connections were cut");
        for handle in handles {
            handle.stop(true).await;
        }
        Ok::<_, Box<dyn Error>>(())
    };
    let servers = async { tokio::try_join!(pages, a, b) };
    let (lived, served) = tokio::join!(life, servers);
    served?;
    lived
}

/// Everything that the application can do, once.
async fn tour(
    door: SocketAddr,
    pages: SocketAddr,
    [a, b]: [SocketAddr; 2],
) -> Result<(), Box<dyn Error>> {
    assert_eq!(ask(door, "GET", "/", "").await?, (200, "a".to_owned()));

    let (_, state) = ask(pages, "GET", "/state", "").await?;
    let state: Value = serde_json::from_str(&state)?;
    assert_eq!(state["listeners"][0]["requests"]["request_total"], 1);

    let hosts = json!([{ "address": a.to_string() }, { "address": b.to_string() }]).to_string();
    let (status, changed) = ask(pages, "PUT", "/clusters/app/hosts", &hosts).await?;
    assert_eq!(status, 200, "{changed}");
    let changed: Value = serde_json::from_str(&changed)?;
    assert_eq!(changed["version"], 2);
    println!("{}", changed["changes"][0]);
    let mut turns = String::new();
    for _ in 0..4 {
        turns += &ask(door, "GET", "/", "").await?.1;
    }
    assert!(["abab", "baba"].contains(&turns.as_str()), "{turns}");

    let (status, why) = ask(pages, "PUT", "/clusters/nobody/hosts", &hosts).await?;
    assert_eq!(status, 422);
    println!("refused: {why}");
    let (_, explained) = ask(pages, "GET", "/explain/any/path", "").await?;
    assert!(explained.contains(&format!("host {b} may be chosen")));
    println!("{explained}");
    Ok(())
}

/// The status and the body of an answer.
async fn ask(
    to: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> Result<(u16, String), Box<dyn Error>> {
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close");
    let request = format!("{head}\r\ncontent-length: {length}\r\n\r\n{body}");
    let mut stream = TcpStream::connect(to).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("this is no answer")?;
    let status = head.split(' ').nth(1).ok_or("it has no status")?;
    Ok((status.parse()?, body.to_owned()))
}
