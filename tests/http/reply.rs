//! Replies of the proxy's own, of which only a part is prescribed.

/// What matters of the head of a reply of the proxy's own.
pub(crate) struct Reply {
    /// Its length in bytes.
    pub(crate) head: usize,
    pub(crate) status: u16,
    pub(crate) length: Option<usize>,
    pub(crate) says_close: bool,
}

impl Reply {
    /// Whether it is an error, and whole in so many bytes.
    pub(crate) fn is_refusal(&self, bytes: usize) -> bool {
        let whole = self.length.is_none_or(|length| self.head + length == bytes);
        self.status >= 400 && whole
    }

    pub(crate) fn parse(head: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(head).map_err(|error| error.to_string())?;
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = first
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3));
        let status = status.and_then(|status| status.parse().ok());
        let mut reply = Self {
            head: head.len(),
            status: status.ok_or_else(|| format!("`{first}` is no status line"))?,
            length: None,
            says_close: false,
        };
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            if name.eq_ignore_ascii_case("content-length") {
                reply.length = value.parse().ok();
            }
            if name.eq_ignore_ascii_case("connection") {
                reply.says_close |= value.eq_ignore_ascii_case("close");
            }
        }
        Ok(reply)
    }
}
