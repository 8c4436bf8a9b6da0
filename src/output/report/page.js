// The report's behaviour. Everything that comes from a document or a model is set as text, never as markup.
"use strict";
const byId = id => document.getElementById(id);
const stored = id => JSON.parse(byId(id).textContent);
const night = stored("night-facts");
const rows = stored("row-facts");
const FLAGS = night.flags;

/// Marks that turn or hide the text around them (Unicode TR 36), and controls, are made visible.
const plain = text => String(text)
  .replace(/[\u202a-\u202e\u2066-\u2069\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g, "\ufffd");

/// An element with a class, and children that are elements or text.
function el(tag, name, ...children) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  node.append(...children.map(child => child instanceof Node ? child : plain(child)));
  return node;
}

/// A value as a person writes it.
function words(value) {
  if (value === null || value === undefined) return "";
  if (value === true) return "yes";
  if (value === false) return "no";
  if (Array.isArray(value)) return value.map(words).join("; ");
  if (Array.isArray(value.rows)) {
    const lines = value.header && value.header.length ? [value.header, ...value.rows] : value.rows;
    return lines.map(row => row.map(words).join(" | ")).join("\n");
  }
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
const size = new TextEncoder();
const text = new TextDecoder();

// The overview.

function svg(tag, attributes, parent) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (parent) parent.append(node);
  return node;
}

function figure(title, image, legend) {
  const node = el("figure", "", el("figcaption", "", title), image);
  const list = el("div", "legend");
  for (const [name, words] of legend) list.append(el("span", `of-${name}`, words));
  node.append(list);
  byId("plots").append(node);
}

/// One bar in parts: [name, size, words].
function stack(title, parts) {
  parts = parts.filter(part => part[1] > 0);
  const sum = parts.reduce((sum, part) => sum + part[1], 0);
  if (sum === 0) return;
  const image = svg("svg", { class: "thin", viewBox: "0 0 1000 20", preserveAspectRatio: "none", role: "img" });
  svg("title", {}, image).textContent = `${title}: ${parts.map(part => part[2]).join(", ")}`;
  let x = 0;
  for (const [name, size] of parts) {
    const width = 1000 * size / sum;
    svg("rect", { x, y: 0, width, height: 20, class: `of-${name}` }, image);
    x += width;
  }
  figure(title, image, parts.map(part => [part[0], part[2]]));
}

/// Tokens a second over the night: each answer's tokens are spread over the time that its document took.
function overTheNight() {
  const answers = night.answers;
  if (answers.length === 0) return;
  const from = Math.min(...answers.map(one => one[0] - one[1]));
  const to = Math.max(...answers.map(one => one[0]));
  const bins = new Float64Array(60);
  const width = Math.max(to - from, 1000) / bins.length;
  for (const [end, took, tokens] of answers) {
    const [first, last] = [(end - took - from) / width, (end - from) / width];
    const span = Math.max(last - first, 1e-9);
    for (let bin = Math.floor(first); bin < bins.length && bin <= last; bin++) {
      const share = (Math.min(last, bin + 1) - Math.max(first, bin)) / span;
      if (share > 0) bins[bin] += tokens * share;
    }
  }
  const speeds = Array.from(bins, tokens => tokens / (width / 1000));
  const most = Math.max(...speeds, 1e-9);
  const image = svg("svg", { viewBox: "0 0 600 100", preserveAspectRatio: "none", role: "img" });
  svg("title", {}, image).textContent = `Tokens a second, at most ${most.toFixed(0)}`;
  speeds.forEach((speed, at) => svg("rect",
    { x: at * 10, y: 100 - 100 * speed / most, width: 9, height: 100 * speed / most, class: "of-speed" }, image));
  const clock = time => new Date(time).toISOString().slice(11, 16);
  figure("Tokens a second over the night", image,
    [["speed", `${clock(from)} to ${clock(to)} UTC, at most ${most.toFixed(0)}; prompts counted whole`]]);
}

function overview() {
  byId("origin").textContent = plain(night.origin);
  document.title = plain(`${night.origin}: nightclerk`);
  byId("when").textContent = plain(night.when);
  const count = new Map();
  for (const row of rows) count.set(row.outcome, (count.get(row.outcome) || 0) + 1);
  const outcomes = [...count].map(([outcome, n]) => [outcome, n, `${n.toLocaleString("en")} ${outcome}`]);
  stack(`${counted(rows.length, "document")} by outcome`, outcomes);
  const pages = Object.entries(night.pages);
  const sum = pages.reduce((sum, page) => sum + page[1], 0);
  stack(`${counted(sum, "page")} by coverage`,
    pages.map(([state, n]) => [state, n, `${n.toLocaleString("en")} ${state.replace("_", " ")}`]));
  overTheNight();
  stack("Time of the last run by stage", night.stages);
  for (const [name, value] of night.made) byId("made").append(el("dt", "", name), el("dd", "digest", value));
  for (const row of rows.filter(row => night.advice[row.outcome])) {
    const open = el("button", "", row.path);
    open.onclick = () => { location.hash = row.id; };
    const item = el("li", "", open, ` ${row.outcome}: ${row.reason}`);
    item.append(el("div", "soft", night.advice[row.outcome]));
    byId("failures").append(item);
  }
  byId("failed").hidden = byId("failures").childElementCount === 0;
}

// The table: only the rows in view, and some before and after them, are in the page. Rows stay as they are
// while they are scrolled over; what comes into view is added, what is far away is taken out.

const ROW = 32;
const AROUND = 24;
const view = { shown: rows, column: "", down: false, at: 0, all: false };
const drawn = new Map();
const order = new Intl.Collator("en", { numeric: true });
let columns = [];

function setColumns() {
  const job = byId("job").value;
  const names = new Set();
  for (const row of rows) {
    if (job === "" || row.job === job) Object.keys(row.fields).forEach(name => names.add(name));
  }
  columns = [
    ["document", "minmax(14rem, 3fr)", row => row.path], ["outcome", "8.5rem", row => row.outcome],
    ["flags", "5rem", row => row.flags.length], ["pages", "5rem", row => row.pages],
    ...[...names].slice(0, 5).map(name => [name, "minmax(8rem, 1fr)", row => words(row.fields[name])]),
  ];
  byId("table").style.setProperty("--columns", columns.map(([, width]) => width).join(" "));
  byId("head").replaceChildren(...columns.map(([name]) => {
    const button = el("button", "", name.replaceAll("_", " "));
    button.onclick = () => {
      view.down = view.column === name && !view.down;
      view.column = name;
      choose();
    };
    const head = el("div", "", button);
    head.role = "columnheader";
    head.dataset.column = name;
    return head;
  }));
}

function choose() {
  const wanted = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const [job, outcome, flagged] = [byId("job").value, byId("outcome").value, byId("flagged").checked];
  view.shown = rows.filter(row => (job === "" || row.job === job) && (outcome === "" || row.outcome === outcome)
    && (!flagged || row.flags.length > 0) && wanted.every(word => row.sought.includes(word)));
  const column = columns.find(column => column[0] === view.column);
  if (column) {
    const key = new Map(view.shown.map(row => [row, column[2](row)]));
    view.shown.sort((a, b) => {
      const [x, y] = [key.get(a), key.get(b)];
      return (typeof x === "number" ? x - y : order.compare(x, y)) * (view.down ? -1 : 1);
    });
  }
  for (const head of byId("head").children) {
    const here = head.dataset.column === view.column;
    head.ariaSort = here ? (view.down ? "descending" : "ascending") : "none";
  }
  view.at = Math.max(0, Math.min(view.at, view.shown.length - 1));
  byId("count").textContent = `${counted(view.shown.length, "document")} of ${rows.length.toLocaleString("en")}`;
  byId("table").ariaRowCount = String(view.shown.length + 1);
  byId("rows").style.height = `${view.shown.length * ROW}px`;
  drawn.clear();
  byId("rows").replaceChildren();
  draw();
}

/// The row of the document that is shown as number `at`.
function line(at) {
  const row = view.shown[at];
  const node = el("div", "row", ...columns.map(([name, , value]) => {
    const cell = el("div", name === "outcome" ? `outcome of-${row.outcome}` : "", words(value(row)));
    cell.role = "cell";
    cell.title = name === "flags" ? row.flags.map(flag => flag.join(": ")).join("\n") : cell.textContent;
    return cell;
  }));
  node.role = "row";
  node.ariaRowIndex = String(at + 2);
  node.ariaSelected = String(at === view.at);
  node.style.top = `${at * ROW}px`;
  node.onclick = () => { select(at); location.hash = row.id; };
  return node;
}

function draw() {
  const box = byId("window");
  const [from, to] = [Math.floor(box.scrollTop / ROW), Math.ceil((box.scrollTop + box.clientHeight) / ROW)];
  const last = view.shown.length;
  if (!view.all && drawn.has(Math.min(from, last - 1)) && drawn.has(Math.min(to, last) - 1)) return;
  const [first, end] = view.all ? [0, last] : [Math.max(0, from - AROUND), Math.min(last, to + AROUND)];
  for (const [at, node] of drawn) {
    if (at < first || at >= end) {
      node.remove();
      drawn.delete(at);
    }
  }
  // Those that stay lie side by side: what is new goes before or after them.
  const stay = [...drawn.keys()];
  const [low, high] = stay.length ? [Math.min(...stay), Math.max(...stay)] : [end, end];
  const add = (start, stop) => {
    const lines = [];
    for (let at = start; at < stop; at++) {
      const node = line(at);
      drawn.set(at, node);
      lines.push(node);
    }
    return lines;
  };
  byId("rows").prepend(...add(first, Math.min(low, end)));
  byId("rows").append(...add(Math.max(high + 1, first), end));
}

function select(at) {
  if (drawn.has(view.at)) drawn.get(view.at).ariaSelected = "false";
  view.at = Math.max(0, Math.min(view.shown.length - 1, at));
  if (drawn.has(view.at)) drawn.get(view.at).ariaSelected = "true";
}

function move(step) {
  select(view.at + step);
  const box = byId("window");
  const top = view.at * ROW;
  if (top < box.scrollTop) box.scrollTop = top;
  if (top + 3 * ROW > box.scrollTop + box.clientHeight) box.scrollTop = top + 3 * ROW - box.clientHeight;
  draw();
}

// One document.

const open = { row: null, evidence: [], wanted: null };

/// A passage as a button that leads to it.
function passage(evidence) {
  const number = open.evidence.push(evidence) - 1;
  const button = el("button", evidence.gone ? "quote gone" : "quote",
    `p. ${evidence.page}${evidence.clause ? `, ${evidence.clause}` : ""}: ${evidence.quote}`);
  if (evidence.gone) button.append(el("div", "flag", "does not stand at this place of the text"));
  button.dataset.evidence = number;
  button.onclick = () => show(number);
  return button;
}

function show(number) {
  for (const mark of document.querySelectorAll("#text mark")) {
    mark.classList.toggle("now", mark.dataset.of.split(" ").includes(String(number)));
  }
  document.querySelector("#text mark.now")?.scrollIntoView({ block: "center" });
}

function flagWords(flags) {
  return flags.map(flag => {
    const node = el("span", "flag", flag.replaceAll("_", " "));
    node.title = FLAGS[flag] || "";
    return node;
  });
}

/// What a reviewer said of an answer.
function judgement({ verdict, reviewer, ts, words: written }) {
  const nodes = [el("div", "judged", `${verdict.replace("_", " ")} by ${reviewer}, ${ts}`)];
  if (written?.corrected) nodes.push(el("div", "value", `right is: ${written.corrected}`));
  if (written?.comment) nodes.push(el("div", "", written.comment));
  return nodes;
}

function fieldCard(name, answer) {
  const flags = answer.flags || [];
  const card = el("div", flags.length ? "field flagged" : "field", el("div", "soft", name.replaceAll("_", " ")));
  card.append(el("div", "value", words(answer.value) || "not found"), ...flagWords(flags));
  if (answer.review) card.append(...judgement(answer.review));
  for (const flag of flags.filter(flag => FLAGS[flag])) card.append(el("div", "soft", FLAGS[flag]));
  for (const evidence of answer.evidence || []) card.append(passage(evidence));
  const raw = words(answer.raw);
  if (raw && raw !== words(answer.value)) card.append(el("div", "soft", `in the model's words: ${raw}`));
  if (answer.competing?.length) {
    const others = el("details", "", el("summary", "", `${counted(answer.competing.length, "other value")}`));
    for (const other of answer.competing) {
      others.append(el("div", "value", words(other.value)), ...(other.evidence || []).map(passage));
    }
    card.append(others);
  }
  return card;
}

/// A column of a table, in one line.
function column(one) {
  const parts = [one.kind, one.least && `${one.least} to ${one.most}`, one.sum && `sum ${one.sum}`,
    one.mean && `mean ${one.mean}`, one.unit, one.kind === "text" && `${one.distinct} different`,
    (one.common || []).map(value => `${value.value} (${value.times})`).join(", "),
    one.outliers && `far from the others: ${one.outlying.map(cell => `${cell.value} in row ${cell.row}`).join(", ")}`,
    one.other && `${one.other} of another kind`, one.missing && `${one.missing} missing`];
  return el("div", "", el("span", "soft", `${one.name}: `), parts.filter(Boolean).join(", "));
}

/// A tracked change or a comment.
function remark(one) {
  const place = `page ${one.page}${one.clause ? `, ${one.clause}` : ""}`;
  return el("div", "", `${place}, ${one.kind.replaceAll("_", " ")} by ${one.author || "unknown"} ${one.date}: `,
    el("span", one.kind, one.text), one.anchor ? ` (on: ${one.anchor})` : "");
}

function facts(record, doc) {
  const box = byId("facts");
  box.replaceChildren();
  const put = (title, ...nodes) => nodes.length && box.append(el("h2", "", title), ...nodes);
  if (record.reason) box.append(el("p", "flag", record.reason));
  for (const note of doc.notes) box.append(el("p", "flag", note));
  const fields = Object.entries(record.fields || {});
  const flagged = answer => (answer.flags || []).length > 0;
  put("Fields", ...fields.filter(([, answer]) => flagged(answer)).map(field => fieldCard(...field)),
    ...fields.filter(([, answer]) => !flagged(answer)).map(field => fieldCard(...field)));
  if (record.summary) {
    const { text, evidence, unsupported, points, missing, tables } = record.summary;
    const doubt = named => (named || []).length
      ? [el("span", "flag", `not in the passages it was made from: ${named.join(", ")}`)] : [];
    put("Summary", el("p", "", text || "", ...doubt(unsupported)), ...(evidence || []).map(passage));
    for (const point of points || []) {
      box.append(el("div", point.unsupported?.length ? "field flagged" : "field",
        el("div", "soft", point.about || ""), el("div", "", point.text || "", ...doubt(point.unsupported)),
        ...(point.evidence || []).map(passage)));
    }
    if (missing?.length) box.append(el("p", "", `No passage was found on: ${missing.join(", ")}.`));
    for (const table of tables || []) {
      const head = `${table.label || "Table"}: ${counted(table.rows, "row")}, computed from every row that is shown`;
      box.append(el("div", "field", el("div", "soft", head), ...(table.columns || []).map(column),
        ...(table.notes || []).map(note => el("div", "flag", note))));
    }
  }
  if (record.rows) {
    const { count, flagged, partial, table, judged } = record.rows;
    put("Rows", el("p", "", `${counted(count, "row")}, ${flagged} flagged, ${partial} partial: ${table}`),
      ...Object.entries(judged || {}).map(([name, review]) =>
        el("div", "field", el("div", "soft", name), ...judgement(review))));
  }
  put("Warnings", ...(record.warnings || []).map(warning =>
    el("p", "", `${warning.page ? `page ${warning.page}: ` : ""}${warning.message || words(warning)}`)));
  put("Hidden text, not shown to the model", ...(record.hidden || []).map(hidden =>
    el("div", "unseen", `page ${hidden.page} (${hidden.why}): ${hidden.text}`)));
  put("Changes and comments", ...(record.remarks || []).map(remark));
  put("Pages not read", ...doc.unread.map(page =>
    el("p", "", `page ${page.page} (${page.label}): ${page.state.replace("_", " ")} ${page.reason || ""}`)));
  // What later versions put into a record is shown as it is.
  const known = ["source", "outcome", "reason", "coverage", "summary", "fields", "rows", "warnings", "hidden",
    "remarks", "made_with", "tokens"];
  for (const [name, value] of Object.entries(record).filter(([name]) => !known.includes(name))) {
    put(name.replaceAll("_", " "), ...[value].flat().map(one => el("p", "", words(one))));
  }
  const made = el("dl", "");
  const flat = (value, name) => {
    if (value !== null && typeof value === "object") {
      for (const [inner, one] of Object.entries(value)) flat(one, `${name} ${inner}`);
    } else made.append(el("dt", "", name.trim().replaceAll("_", " ")), el("dd", "digest", words(value)));
  };
  flat({ input: record.source?.sha256, ...record.made_with, tokens: record.tokens, entry: doc.entry }, "");
  put("How it was made", made);
}

/// The text whose first byte is byte `base` of its page, with the passages of `page` marked.
function marked(content, base, page) {
  const bytes = size.encode(content);
  const ranges = open.evidence.map((evidence, number) => ({ ...evidence, number }))
    .filter(one => one.page === page && !one.gone && one.end > base && one.start < base + bytes.length);
  const cuts = new Set([0, bytes.length]);
  for (const { start, end } of ranges) {
    cuts.add(Math.max(0, start - base));
    cuts.add(Math.min(bytes.length, end - base));
  }
  const at = [...cuts].sort((a, b) => a - b);
  const box = el("pre", "");
  for (let i = 0; i + 1 < at.length; i++) {
    const part = plain(text.decode(bytes.subarray(at[i], at[i + 1])));
    const here = ranges.filter(one => one.start - base <= at[i] && one.end - base >= at[i + 1]);
    if (here.length === 0) box.append(part);
    else {
      const mark = el("mark", "", part);
      mark.dataset.of = here.map(one => one.number).join(" ");
      box.append(mark);
    }
  }
  return box;
}

function passages(doc, why) {
  byId("text").replaceChildren(el("p", "soft", why));
  for (const { page, start, text } of doc.passages) {
    byId("text").append(el("div", "page", el("h3", "", `page ${page}`), marked(text, start, page)));
  }
}

function pages(content) {
  const box = byId("text");
  box.replaceChildren();
  for (const { page, label, text, hidden } of content.pages) {
    const name = label && label !== String(page) ? `page ${page} (${label})` : `page ${page}`;
    const node = el("div", "page", el("h3", "", name), marked(text, 0, page));
    for (const one of hidden || []) node.append(el("div", "unseen", `hidden (${one.why}): ${one.text}`));
    node.append(...(content.remarks || []).filter(one => one.page === page).map(remark));
    box.append(node);
  }
}

/// Called by the page texts in report/.
window.nightclerkPages = content => {
  if (open.row && open.row.id === content.doc) {
    pages(content);
    if (open.wanted !== null) show(open.wanted);
  }
};

function read(row) {
  const doc = stored(`doc-${row.id}`);
  Object.assign(open, { row, evidence: [], wanted: null });
  byId("name").textContent = plain(row.path);
  byId("state").textContent = row.outcome;
  byId("state").className = `outcome of-${row.outcome}`;
  byId("reader").hidden = false;
  document.body.classList.add("reading");
  facts(doc.record, doc);
  byId("facts").scrollTop = 0;
  passages(doc, "Around each passage; the whole text is being loaded.");
  const script = document.createElement("script");
  script.src = `report/${row.id}.js`;
  script.onload = () => script.remove();
  script.onerror = () => {
    script.remove();
    if (open.row === row) {
      passages(doc, doc.passages.length
        ? "Up to 300 characters before and after each passage. The whole text would lie in report/ beside this page."
        : "No text of this document was kept.");
    }
  };
  document.head.append(script);
  byId("facts").focus();
}

function route() {
  const row = rows.find(row => row.id === location.hash.slice(1));
  if (row) return read(row);
  open.row = null;
  byId("reader").hidden = true;
  document.body.classList.remove("reading");
  draw();
}

const close = () => { location.hash = ""; byId("window").focus(); };

/// In a document j and k go to the next and the last passage, n and p to the next document.
function walk(step) {
  if (open.evidence.length === 0) return;
  const from = open.wanted ?? (step > 0 ? -1 : open.evidence.length);
  open.wanted = Math.max(0, Math.min(open.evidence.length - 1, from + step));
  show(open.wanted);
  const button = document.querySelector(`#facts [data-evidence="${open.wanted}"]`);
  // Other values lie folded away.
  const folded = button?.closest("details");
  if (folded) folded.open = true;
  button?.scrollIntoView({ block: "nearest" });
}

function leaf(step) {
  select(view.at + step);
  if (view.shown[view.at]) location.hash = view.shown[view.at].id;
}

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = ["INPUT", "SELECT"].includes(event.target.tagName);
  if (event.key === "Escape") return typing ? event.target.blur() : close();
  if (typing) return event.key === "Enter" && event.target.blur();
  const keys = open.row
    ? { j: () => walk(1), k: () => walk(-1), n: () => leaf(1), p: () => leaf(-1) }
    : { j: () => move(1), k: () => move(-1), ArrowDown: () => move(1), ArrowUp: () => move(-1),
        Enter: () => leaf(0), "/": () => byId("search").focus() };
  const onButton = event.key === "Enter" && event.target.tagName === "BUTTON";
  if (keys[event.key] && !onButton) {
    event.preventDefault();
    keys[event.key]();
  }
});

function begin() {
  for (const row of rows) {
    row.sought = plain([row.path, row.outcome, row.reason, row.summary, ...row.flags.flat(),
      ...Object.values(row.fields).map(words)].join(" ")).toLowerCase();
  }
  const options = (id, values) => byId(id).append(...[...new Set(values)].sort().map(value => el("option", "", value)));
  options("job", rows.map(row => row.job));
  options("outcome", rows.map(row => row.outcome));
  overview();
  setColumns();
  byId("job").onchange = () => { setColumns(); choose(); };
  byId("outcome").onchange = byId("flagged").onchange = choose;
  byId("search").oninput = choose;
  byId("close").onclick = close;
  byId("window").onscroll = draw;
  window.onresize = draw;
  const print = all => () => { view.all = all; choose(); };
  [window.onbeforeprint, window.onafterprint] = [print(true), print(false)];
  window.onhashchange = route;
  choose();
  route();
}
begin();
