//! The report's HTML: static parts, data blocks that are never markup, and the policy that lets nothing in
//! but the page's own script and style and the page texts beside it.

use serde_json::Value;

use crate::base::{Digest, base64};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const BODY: &str = include_str!("page.html");

/// The page around its data blocks.
pub(super) fn html(blocks: &str) -> String {
    let policy = format!(
        "default-src 'none'; script-src '{}' file:; style-src '{}'; base-uri 'none'; form-action 'none'",
        source(SCRIPT),
        source(STYLE)
    );
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>nightclerk</title>\n\
         <style>{STYLE}</style>\n</head>\n{BODY}{blocks}<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )
}

/// JSON as a block of the page that no parser takes for markup or script.
pub(super) fn block(id: &str, value: &Value) -> String {
    let mut json = String::new();
    for letter in value.to_string().chars() {
        match letter {
            '<' => json.push_str("\\u003c"),
            '>' => json.push_str("\\u003e"),
            '&' => json.push_str("\\u0026"),
            letter => json.push(letter),
        }
    }
    format!("<script type=\"application/json\" id=\"{id}\">{json}</script>\n")
}

/// The hash source of Content Security Policy level 3 for an inline element.
fn source(text: &str) -> String {
    format!("sha256-{}", base64::encode(&Digest::of(text.as_bytes()).0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_asks_for_nothing_from_elsewhere() {
        let page = html(&block("x", &serde_json::json!("</script><script>alert(1)</script>&amp;")));
        assert!(page.contains("default-src 'none'; script-src 'sha256-"), "{page}");
        for part in [STYLE, SCRIPT, BODY] {
            // The name of the SVG vocabulary is a name; nobody fetches it.
            let part = part.replace("http://www.w3.org/2000/svg", "");
            for word in ["http:", "https:", "//cdn", "@import", "url(", "innerHTML", "eval("] {
                assert!(!part.contains(word), "{word}");
            }
            assert!(!part.contains("</script") && !part.contains("<!--"), "ends its element early");
        }
        assert_eq!(page.matches("<script").count(), 2, "the block and the script");
        assert_eq!(page.matches("</script>").count(), 2);
    }
}
