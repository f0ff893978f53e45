//! A request's head, which is all that is looked at.

/// The largest head. Scrapers and browsers send a few hundred bytes.
pub(crate) const HEAD_BYTES_MAX: usize = 8 * 1024;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    /// Without what follows a question mark.
    pub(crate) path: &'a str,
    /// Only the head of the answer is wanted.
    pub(crate) head_only: bool,
    /// The client knows an answer in chunks.
    pub(crate) takes_chunks: bool,
}

/// Why there is no answer to what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// It is no request of HTTP/1.
    Request,
    /// It wants to change something.
    Method,
}

/// Whether the head is complete.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    bytes.windows(4).any(|end| end == b"\r\n\r\n")
}

/// Reads the first line; the others say nothing that would change the answer.
pub(crate) fn parse(head: &[u8]) -> Result<Request<'_>, Malformed> {
    let end = head.iter().position(|byte| *byte == b'\r').ok_or(Malformed::Request)?;
    let line = std::str::from_utf8(&head[..end]).map_err(|_| Malformed::Request)?;
    let words: Vec<&str> = line.split(' ').collect();
    let [method, target, version] = words[..] else { return Err(Malformed::Request) };
    let takes_chunks = match version {
        "HTTP/1.1" => true,
        "HTTP/1.0" => false,
        _ => return Err(Malformed::Request),
    };
    let head_only = match method {
        "GET" => false,
        "HEAD" => true,
        _ => return Err(Malformed::Method),
    };
    let path = target.split('?').next().unwrap_or(target);
    if !path.starts_with('/') {
        return Err(Malformed::Request);
    }
    Ok(Request { path, head_only, takes_chunks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_what_is_asked() {
        check("GET / HTTP/1.1\r\n", Ok(("/", false, true)));
        check("HEAD /metrics?x=1 HTTP/1.0\r\nHost: a\r\n", Ok(("/metrics", true, false)));
        check("POST /metrics HTTP/1.1\r\n", Err(Malformed::Method));
        check("GET /  HTTP/1.1\r\n", Err(Malformed::Request));
        check("GET http://a/ HTTP/1.1\r\n", Err(Malformed::Request));
        check("GET / HTTP/2\r\n", Err(Malformed::Request));
        check("GET /\r\n", Err(Malformed::Request));
        check("\r\n\r\n", Err(Malformed::Request));
        check("GET / HTTP/1.1\n\n", Err(Malformed::Request));
    }

    fn check(head: &str, expected: Result<(&str, bool, bool), Malformed>) {
        let found = parse(head.as_bytes());
        let found = found.map(|it| (it.path, it.head_only, it.takes_chunks));
        assert_eq!(found, expected, "{head:?}");
    }

    #[test]
    fn what_is_no_text_is_no_request() {
        assert_eq!(parse(b"GET /\xff HTTP/1.1\r\n"), Err(Malformed::Request));
        assert!(is_whole(b"a\r\nb\r\n\r\n") && !is_whole(b"a\r\nb\r\n\r"));
    }
}
