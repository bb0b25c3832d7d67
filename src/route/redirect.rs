//! Where a redirect leads.

use super::escape_path;
use crate::config::Redirect;

/// The value of `location`: each part is the redirect's or else the request's, and the query stays.
///
/// `scheme` is in lower case, `path` is normal, `query` is as it came and without its mark. When the
/// scheme changes, a port that was the other one's default goes. A request without host is sent
/// to a path of wherever it is, unless the redirect names a host.
#[must_use]
pub fn location(
    redirect: &Redirect,
    scheme: &str,
    host: &[u8],
    path: &[u8],
    query: Option<&[u8]>,
) -> Vec<u8> {
    let to = redirect.scheme.as_deref().unwrap_or(scheme);
    let mut host = redirect.host.as_ref().map_or(host, |host| host.as_bytes());
    if to != scheme {
        let stale: &[u8] = match to {
            "http" => b":443",
            "https" => b":80",
            _ => b"",
        };
        host = host.strip_suffix(stale).unwrap_or(host);
    }
    let path = redirect.path.as_ref().map_or(path, |path| path.as_bytes());
    let path = escape_path(path);
    let mut location = Vec::with_capacity(to.len() + 3 + host.len() + path.len() + 1);
    if !host.is_empty() {
        location.extend_from_slice(to.as_bytes());
        location.extend_from_slice(b"://");
        location.extend_from_slice(host);
    }
    if path.first() != Some(&b'/') {
        location.push(b'/');
    }
    location.extend_from_slice(&path);
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        location.push(b'?');
        location.extend_from_slice(query);
    }
    location
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_redirect_does_not_say_stays() {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        // Scheme, host and path of the redirect; scheme, host, path and query of the request.
        for (to, from, expected) in [
            (["", "", ""], ["http", "a:80", "/p", ""], "http://a:80/p"),
            (["", "", "/q"], ["http", "a", "/p", "x=1"], "http://a/q?x=1"),
            (["", "b:1", ""], ["http", "a", "/p", "x"], "http://b:1/p?x"),
            (["https", "", ""], ["http", "a:80", "/p", ""], "https://a/p"),
            (
                ["https", "", ""],
                ["http", "a:8080", "/p", ""],
                "https://a:8080/p",
            ),
            (["http", "", ""], ["https", "a:443", "/p", ""], "http://a/p"),
            (
                ["http", "", ""],
                ["http", "a:443", "/p", ""],
                "http://a:443/p",
            ),
            (
                ["https", "", ""],
                ["http", "a:443", "/p", ""],
                "https://a:443/p",
            ),
            (
                ["https", "", ""],
                ["http", "[::80]", "/p", ""],
                "https://[::80]/p",
            ),
            (["", "", "q"], ["http", "a", "/p", ""], "http://a/q"),
            (
                ["", "", ""],
                ["http", "a", "/\r\n b", ""],
                "http://a/%0D%0A%20b",
            ),
            (["", "", ""], ["http", "", "/p", "x"], "/p?x"),
        ] {
            let redirect = Redirect {
                status: 301,
                scheme: some(to[0]),
                host: some(to[1]),
                path: some(to[2]),
            };
            let [scheme, host, path, query] = from;
            let query = some(query);
            let query = query.as_ref().map(String::as_bytes);
            let location = location(&redirect, scheme, host.as_bytes(), path.as_bytes(), query);
            assert_eq!(String::from_utf8(location).unwrap(), expected);
        }
    }
}
