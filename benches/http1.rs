//! What a head costs: `cargo bench --bench http1`.

#![expect(clippy::print_stdout, reason = "a bench reports on stdout")]

use std::hint::black_box;
use std::time::Instant;

use banyan::protocol::http1::{Asked, HeadLimits, Request, Response};

const ROUND: u32 = 2_000;
const ROUNDS: usize = 200;
const LIMITS: HeadLimits = HeadLimits {
    bytes: 8192,
    fields: 100,
};
const REQUEST: &[u8] = b"GET /shop/items/4711?page=2&sort=price HTTP/1.1\r\n\
    Host: shop.example.org\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    Referer: https://shop.example.org/shop/items?page=1\r\n\
    Connection: keep-alive\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\
    X-Request-Id: 7f3c0d8e-5a41-4a8c-9a39-1f2f6f0b7c11\r\n\
    Cache-Control: max-age=0\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: origin\r\n\
    Date: Sun, 22 Nov 2026 21:44:52 GMT\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 128\r\n\
    Cache-Control: no-store\r\n\
    Connection: keep-alive\r\n\r\n";

fn main() {
    let mut request = Request::default();
    report("request of 10 fields", || {
        let _ = black_box(request.parse(black_box(REQUEST), &LIMITS));
    });
    report("the same, hop-by-hop fields stripped", || {
        let _ = black_box(request.parse(black_box(REQUEST), &LIMITS));
        request.fields.strip_hop_by_hop();
        request.fields.strip_framing();
    });
    let mut response = Response::default();
    report("response of 6 fields", || {
        let _ = black_box(response.parse(black_box(RESPONSE), &LIMITS, Asked::Other));
    });
    report("the tokeniser alone, on the request", || {
        let mut rows = [httparse::EMPTY_HEADER; 16];
        let mut tokens = httparse::Request::new(&mut rows);
        let _ = black_box(tokens.parse(black_box(REQUEST)));
    });
}

/// Prints the time of one call in the fastest round, in which others disturbed least.
fn report(what: &str, mut call: impl FnMut()) {
    let round = |_| {
        let begun = Instant::now();
        for _ in 0..ROUND {
            call();
        }
        begun.elapsed() / ROUND
    };
    let fastest = (0..ROUNDS).map(round).min().unwrap_or_default();
    println!("{what}: {} ns", fastest.as_nanos());
}
