//! HTML: what a browser shows is read, what it does not show is kept apart, and no page costs the night.

use nightclerk::base::{Format, Limits};
use nightclerk::extract::{
    Document, Options, PageState, RefusalKind, RemarkKind, Role, View, extract,
};
use proptest::prelude::*;

use crate::layers::layers_hold;

fn read(text: &str) -> Document {
    read_bytes(text.as_bytes())
}

fn read_bytes(bytes: &[u8]) -> Document {
    let read = extract(bytes, Format::Html, &Options::default(), &Limits::default());
    let document = read.unwrap_or_else(|refusal| panic!("{refusal}")).output;
    layers_hold(&document);
    document
}

fn verbatim(text: &str) -> String {
    read(text).pages[0].verbatim.clone()
}

#[test]
fn blocks_lists_and_tables_read_as_a_browser_shows_them() {
    let document = read(
        "<!doctype html><title>An  offer</title><h2>1. Scope</h2>\n<p>We offer <b>five</b>\n  vans,\
         <br>all&nbsp;new &amp; blue&hellip;<ul><li>red<li>green<ol type=a start=3><li>dark<li>light</ol></ul>\
         <table><caption>Prices</caption><tr><th>Van<th>Price<tr><td rowspan=2>Small<td>9&euro;\
         <tr><td>10&euro;</table><pre> a\n  b</pre>",
    );
    let page = &document.pages[0];
    assert_eq!(
        page.verbatim,
        "1. Scope\n\nWe offer five vans,\nall\u{a0}new & blue…\n\n• red\n\n• green\n\nc. dark\n\nd. light\n\n\
         Prices\nVan\tPrice\nSmall\t9€\n\t10€\n\na\n  b"
    );
    let roles: Vec<Role> = page.blocks.iter().map(|block| block.role).collect();
    use Role::*;
    let expected = [
        Heading(2),
        Paragraph,
        ListItem,
        ListItem,
        ListItem,
        ListItem,
        Paragraph,
        TableHeader,
        TableRow,
        TableRow,
        Paragraph,
    ];
    assert_eq!(roles, expected);
    assert_eq!(page.blocks[4].label.as_deref(), Some("c"));
    assert_eq!(document.properties["title"], "An offer");
}

#[test]
fn text_that_a_browser_does_not_show_is_kept_apart_with_its_reason() {
    for (inside, why) in [
        ("<p style='display: none'>X<b>Y</b></p>", "display:none"),
        ("<p hidden>X<b>Y</b></p>", "hidden attribute"),
        ("<p class='a q'>X<b>Y</b></p>", "display:none"),
        ("<div class=r><p>X<b>Y</b></p></div>", "white on white"),
        ("<p style='visibility:hidden'>X<b>Y</b></p>", "visibility:hidden"),
        ("<p style='color:#fefefe'>X<b>Y</b></p>", "white on white"),
        ("<font color=white>X<b>Y</b></font>", "white on white"),
        (
            "<p style='color:#000;background:url(x) #000'>Z</p><p style='color:rgba(0,0,0,0)'>X<b>Y</b>",
            "white on white",
        ),
        (
            "<table bgcolor=#000080><tr><td style='color:navy'>X<b>Y</b></table>",
            "colour of its ground",
        ),
        ("<p style='font-size:0'>X<b>Y</b></p>", "under 2 pt"),
        ("<p style='font-size:1px'>X<b>Y</b></p>", "under 2 pt"),
        ("<div style='height:0;overflow:hidden'>X<b>Y</b></div>", "no size"),
        ("<div style='position:absolute;left:-9999px'>X<b>Y</b></div>", "off the page"),
        ("<div style='text-indent:-99em'>X<b>Y</b></div>", "off the page"),
        ("<div style='clip:rect(0, 0, 0, 0)'>X<b>Y</b></div>", "clipped away"),
        ("<p style='opacity:0'>X<b>Y</b></p>", "opacity:0"),
        ("<p></p><noscript>XY</noscript>", "noscript"),
        // The span's tag is never closed: the paragraph's end closes it, and Seen is seen.
        ("<p><span style='display:none'>X<b>Y</b></p>", "display:none"),
    ] {
        let page = "<style>.q{display:none} div.r > p { color: #FFF !important }</style>"
            .to_owned()
            + inside
            + "<p>Seen</p>";
        let document = read(&page);
        let page = &document.pages[0];
        assert!(page.verbatim.ends_with("Seen") && !page.verbatim.contains('X'), "{inside}");
        let hidden: Vec<_> =
            page.hidden.iter().map(|h| (h.text.as_str(), h.why.as_str())).collect();
        assert_eq!(hidden, [("XY", why)], "{inside}");
    }
}

#[test]
fn what_only_looks_hidden_is_read() {
    for inside in [
        "<p style='background:#333;color:white'>Seen</p>",
        "<table bgcolor=black><tr><td><font color=white>Seen</font></table>",
        "<div style='visibility:hidden'><p style='visibility:visible'>Seen</p></div>",
        "<div style='font-size:0'><p style='font-size:14px'>Seen</p></div>",
        "<style>@media print{p{display:none}} @media (max-width:9px){p{color:white}}</style><p>Seen</p>",
        "<p aria-hidden=true>Seen</p>",
        "<details><summary>Seen</summary></details>",
        "<p style='background-image:url(night.png);color:white'>Seen</p>",
        "<style>p{display:none} p{display:block}</style><p>Seen</p>",
    ] {
        let document = read(inside);
        assert_eq!(document.pages[0].verbatim, "Seen", "{inside}");
        assert_eq!(document.pages[0].hidden, [], "{inside}");
    }
}

#[test]
fn scripts_styles_and_templates_are_no_text() {
    let page = "<script>var a='<p>no'</script><style>p{}</style><template>no</template><p>Yes\
                <input type=hidden value=no><input value=field><select><option>A<option selected>B</select>";
    assert_eq!(verbatim(page), "Yes fieldB".replace(' ', ""));
}

#[test]
fn deletions_and_insertions_follow_the_view() {
    let page = "<p>due in <del datetime=2024-05-01>30</del><ins>14</ins> days</p>";
    let document = read(page);
    assert_eq!(document.pages[0].verbatim, "due in 14 days");
    let remarks: Vec<_> = document.remarks.iter().map(|r| (r.kind, r.text.as_str())).collect();
    assert_eq!(remarks, [(RemarkKind::Deletion, "30"), (RemarkKind::Insertion, "14")]);
    let options = Options { view: View::Redline, ..Options::default() };
    let redline = extract(page.as_bytes(), Format::Html, &options, &Limits::default());
    assert_eq!(
        redline.expect("a page").output.pages[0].verbatim,
        "due in {--30--}{>>2024-05-01<<}{++14++} days"
    );
    let options = Options { view: View::Original, ..Options::default() };
    let read =
        extract(page.as_bytes(), Format::Html, &options, &Limits::default()).expect("a page");
    assert_eq!(read.output.pages[0].verbatim, "due in 30 days");
}

#[test]
fn the_encoding_is_what_the_page_says() {
    for (head, bytes, name) in [
        ("<meta charset=iso-8859-2>", &b"\xb1"[..], "ISO-8859-2"),
        (
            "<meta http-equiv=content-type content='text/html; charset=windows-1251'>",
            b"\xe0",
            "windows-1251",
        ),
        ("<meta charset=utf-16>", "я".as_bytes(), "UTF-8"),
        ("", "я".as_bytes(), "UTF-8"),
    ] {
        let page = [head.as_bytes(), b"<p>x", bytes].concat();
        let document = read_bytes(&page);
        assert_eq!(document.properties["encoding"], name);
        let expected = match name {
            "ISO-8859-2" => "xą",
            "windows-1251" => "xа",
            _ => "xя",
        };
        assert_eq!(document.pages[0].verbatim, expected);
    }
}

#[test]
fn a_page_of_pictures_is_said_to_be_one() {
    let read = extract(
        b"<img src=scan.png><img width=1 src=dot>",
        Format::Html,
        &Options::default(),
        &Limits::default(),
    )
    .expect("a page");
    assert_eq!(read.output.pages[0].state, PageState::ImageOnly);
    assert!(read.warnings.iter().any(|w| w.message.starts_with("1 picture")));
    let refusal = extract(b"<p> </p>", Format::Html, &Options::default(), &Limits::default());
    assert_eq!(refusal.expect_err("nothing").kind, RefusalKind::Empty);
}

#[test]
fn hostile_pages_end_within_limits_and_say_what_was_left_out() {
    let formatting: String = (0..2000).map(|n| format!("<b id={n}>")).collect();
    let sheets: String = (0..5000).map(|n| format!("div .c{n} div, ")).collect();
    for (page, cut) in [
        ("<p>Seen".to_owned() + &"<div>".repeat(20_000) + "deep", true),
        ("<p>Seen".to_owned() + &formatting + &"<p>x".repeat(2000), true),
        ("<p>Seen".to_owned() + &"<table><tr><td>".repeat(5000), true),
        ("<p>Seen".to_owned() + &"<table><a>".repeat(2000), false),
        (
            format!("<p>Seen<style>{sheets} p{{display:none}}</style>")
                + &"<div class=c1>x</div>".repeat(200),
            false,
        ),
        ("<p>Seen<table>".to_owned() + &"<tr><td colspan=1000 rowspan=65534>x".repeat(2000), false),
        ("<p>Seen".to_owned() + &"<style>{{{{".repeat(1000), false),
        ("<p>Seen".to_owned() + &"&".repeat(100_000) + &"<!--".repeat(10_000), false),
    ] {
        let read = extract(page.as_bytes(), Format::Html, &Options::default(), &Limits::default());
        let read = read.expect("a part of it");
        layers_hold(&read.output);
        assert!(read.output.pages[0].verbatim.starts_with("Seen"));
        let is_cut = |page: &nightclerk::extract::Page| matches!(page.state, PageState::Skipped(_));
        assert_eq!(read.output.pages.iter().any(is_cut), cut, "{}", &page[..60]);
    }
}

proptest! {
    #[test]
    fn any_page_is_read_or_refused_and_the_layers_hold(
        pieces in prop::collection::vec(prop::sample::select(&[
            "<p>", "</p>", "<table>", "<tr>", "<td>", "</table>", "<b style='color:#fff'>", "</b>", "<li>", "<ol>",
            "text ", "é\u{301}", "&#0;", "<style>", "</style>", "p{display:none}", "<svg>", "<math>", "<template>",
            "<select>", "<option>", "<del>", "<ins>", "\0", "<!--", "-->", "<br>", "<input value=x>", "<a href",
        ][..]), 0..60),
    ) {
        let page = pieces.concat();
        if let Ok(read) = extract(page.as_bytes(), Format::Html, &Options::default(), &Limits::default()) {
            layers_hold(&read.output);
        }
    }
}
