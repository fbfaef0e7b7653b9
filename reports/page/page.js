"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const el = (tag, text, className) => {
    const e = document.createElement(tag);
    if (text !== undefined) e.textContent = text;
    if (className) e.className = className;
    return e;
  };
  const number = (x, digits) => (x === null || x === undefined ? "" : x.toFixed(digits));

  // Tables: sort by a column, hide variants that do not match.
  const cellValue = (row, i) => {
    const cell = row.cells[i];
    if (cell.tagName === "TH") return cell.textContent;
    return cell.dataset.value === "" ? -Infinity : Number(cell.dataset.value);
  };
  const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : a - b);
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, i) => head.firstElementChild.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") ? head.getAttribute("aria-sort") === "ascending" : i > 0;
      heads.forEach((h) => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => (down ? -1 : 1) * compare(cellValue(a, i), cellValue(b, i)));
      table.tBodies[0].append(...rows);
    }));
  }
  $("table-filter").addEventListener("input", (e) => {
    const want = e.target.value.toLowerCase();
    for (const row of document.querySelectorAll("table.sortable tbody tr")) {
      row.hidden = !row.cells[0].textContent.toLowerCase().includes(want);
    }
  });

  // Records: columns of the packed data, see reports/page.go.
  const unpack = async () => {
    const bytes = Uint8Array.from(atob($("data").textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };
  const pageSize = 100;
  let data, full, shown = [], page = 0, sortBy = null, sortDown = false, opened = null;

  const columns = [
    { name: "task", text: true, of: (i) => data.tasks[data.records[data.row.record[i]].task] },
    { name: "record", text: true, of: (i) => data.records[data.row.record[i]].id },
    { name: "variant", text: true, of: (i) => data.variants[data.row.variant[i]] },
    { name: "score", of: (i) => (data.row.error[i] ? null : 100 * data.row.score[i]), digits: 1 },
    { name: "vs full", of: (i) => difference(i), digits: 1 },
    { name: "kept %", of: (i) => (data.row.error[i] ? null : 100 * data.row.budget[i]), digits: 1 },
    { name: "KL", of: (i) => data.row.kl[i], digits: 3 },
    { name: "same top-1 %", of: (i) => (data.row.agreement[i] === null ? null : 100 * data.row.agreement[i]), digits: 1 },
    { name: "prompt tokens", of: (i) => data.records[data.row.record[i]].tokens, digits: 0 },
    { name: "text", text: true, of: (i) => data.row.error[i] || data.row.text[i].slice(0, 120) },
  ];
  const difference = (i) => {
    const f = full[data.row.record[i]];
    return f === undefined || data.row.error[i] || data.row.error[f] ? null : 100 * (data.row.score[i] - data.row.score[f]);
  };

  const select = (id, names) => {
    const box = $(id);
    box.append(new Option("all", ""), ...names.map((n, i) => new Option(n, i)));
    box.closest("label").hidden = names.length < 2;
    box.addEventListener("change", filter);
  };

  function filter() {
    const chosen = (id) => ($(id).value === "" ? null : Number($(id).value));
    const model = chosen("f-model"), length = chosen("f-length"), task = chosen("f-task"), variant = chosen("f-variant");
    const kind = $("f-kind").value, want = $("f-text").value.toLowerCase();
    shown = [];
    for (let i = 0; i < data.row.record.length; i++) {
      const r = data.records[data.row.record[i]];
      if (model !== null && r.model !== model || length !== null && r.length !== length || task !== null && r.task !== task) continue;
      if (variant !== null && data.row.variant[i] !== variant) continue;
      if (kind === "errors" && !data.row.error[i]) continue;
      if (kind === "worse" && !(difference(i) < 0) || kind === "better" && !(difference(i) > 0)) continue;
      if (kind === "differs" && (full[data.row.record[i]] === undefined || data.row.text[i] === data.row.text[full[data.row.record[i]]])) continue;
      if (want && !(data.row.text[i] + "\n" + r.id + "\n" + data.row.error[i]).toLowerCase().includes(want)) continue;
      shown.push(i);
    }
    order();
  }

  function order() {
    if (sortBy !== null) {
      const c = columns[sortBy], key = new Map(shown.map((i) => [i, c.of(i)]));
      shown.sort((a, b) => {
        const x = key.get(a), y = key.get(b);
        if (x === null || y === null) return (x === null) - (y === null) || a - b; // what has no figure comes last
        return (sortDown ? -1 : 1) * compare(x, y) || a - b;
      });
    }
    page = 0;
    draw();
  }

  function draw() {
    const body = $("list").tBodies[0], from = page * pageSize, part = shown.slice(from, from + pageSize);
    body.replaceChildren(...part.map((i) => {
      const row = el("tr");
      row.tabIndex = 0;
      row.dataset.row = i;
      if (data.row.record[i] === opened) row.className = "open";
      for (const c of columns) row.append(el("td", c.text ? c.of(i) : number(c.of(i), c.digits), c.text ? "text" : ""));
      return row;
    }));
    $("count").textContent = `${shown.length} of ${data.row.record.length} rows` + (shown.length > pageSize ? `, ${from + 1} to ${from + part.length} shown` : "");
    const step = (name, to) => {
      const b = el("button", name, "link");
      b.type = "button";
      b.disabled = to < 0 || to * pageSize >= shown.length || to === page;
      b.addEventListener("click", () => { page = to; draw(); });
      return b;
    };
    const last = Math.max(0, Math.ceil(shown.length / pageSize) - 1);
    $("pages").replaceChildren(step("first", 0), step("previous", page - 1), step("next", page + 1), step("last", last));
    $("pages").hidden = last === 0;
  }

  function head() {
    const row = el("tr");
    columns.forEach((c, k) => {
      const th = el("th", undefined, c.text ? "text" : ""), b = el("button", c.name);
      b.type = "button";
      b.addEventListener("click", () => {
        sortDown = sortBy === k ? !sortDown : !c.text;
        sortBy = k;
        for (const h of row.cells) h.removeAttribute("aria-sort");
        th.setAttribute("aria-sort", sortDown ? "descending" : "ascending");
        order();
      });
      th.append(b);
      row.append(th);
    });
    $("list").tHead.append(row);
  }

  // Words that two texts share, as one longest common subsequence; very long texts
  // are compared by their ends only.
  function marked(said, reference) {
    const split = (s) => s.match(/\s+|[^\s]+/g) || [];
    const a = split(reference), b = split(said), out = el("div", undefined, "said");
    let start = 0, endA = a.length, endB = b.length;
    while (start < endA && start < endB && a[start] === b[start]) start++;
    while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) { endA--; endB--; }
    const put = (tag, words) => { if (words.length) out.append(tag ? el(tag, words.join("")) : document.createTextNode(words.join(""))); };
    put("", b.slice(0, start));
    const n = endA - start, m = endB - start;
    if (n * m > 2e6) {
      put("del", a.slice(start, endA));
      put("ins", b.slice(start, endB));
    } else {
      const table = new Uint16Array((n + 1) * (m + 1));
      for (let i = n - 1; i >= 0; i--) {
        for (let j = m - 1; j >= 0; j--) {
          table[i * (m + 1) + j] = a[start + i] === b[start + j] ? table[(i + 1) * (m + 1) + j + 1] + 1
            : Math.max(table[(i + 1) * (m + 1) + j], table[i * (m + 1) + j + 1]);
        }
      }
      let i = 0, j = 0;
      while (i < n || j < m) {
        if (i < n && j < m && a[start + i] === b[start + j]) { put("", [b[start + j]]); i++; j++; continue; }
        if (j >= m || i < n && table[(i + 1) * (m + 1) + j] >= table[i * (m + 1) + j + 1]) put("del", [a[start + i++]]);
        else put("ins", [b[start + j++]]);
      }
    }
    put("", b.slice(endB));
    return out;
  }

  function card(i, reference) {
    const box = el("div", undefined, "card"), r = data.row;
    box.append(el("h4", data.variants[r.variant[i]]));
    if (r.error[i]) {
      box.append(el("p", r.error[i]));
      return box;
    }
    let facts = `score ${number(100 * r.score[i], 1)}, keeps ${number(100 * r.budget[i], 1)} % of the prompt, ${data.texts ? `${r.generated[i]} tokens, ` : ""}stopped by ${r.stop[i]}`;
    if (r.kl[i] !== null) {
      facts += `; KL ${number(r.kl[i], 3)}, same top-1 ${number(100 * r.agreement[i], 1)} %`;
      facts += r.divergence[i] < 0 ? ", no other token" : `, first other token ${r.divergence[i]}`;
    }
    box.append(el("p", facts, "hint"));
    if (data.texts) box.append(reference === null ? el("div", r.text[i], "said") : marked(r.text[i], reference));
    const kept = r.kept[i];
    if (kept.length) {
      const bars = el("div", undefined, "kept"), tokens = data.records[r.record[i]].tokens;
      bars.setAttribute("role", "img");
      bars.setAttribute("aria-label", "kept share of each layer");
      kept.forEach((k, layer) => {
        const bar = el("i");
        bar.style.height = `${100 * k / tokens}%`;
        bar.title = `layer ${layer}: ${number(100 * k / tokens, 1)} % kept`;
        bars.append(bar);
      });
      box.append(bars);
    }
    if (r.density[i]) box.append(...strip(i));
    return box;
  }

  // Where a variant's entries stay: layers downwards, 32 parts of the prompt from left
  // to right, the darker the more. Digits are of base 36, see runners/rows/density.go.
  function strip(i) {
    const layers = data.row.density[i].split(" ").map((s) => [...s].map((c) => parseInt(c, 36) / 35));
    const bins = layers[0].length, record = data.records[data.row.record[i]];
    const canvas = el("canvas"), button = el("button", undefined, "strip"), told = el("p", "", "hint told");
    canvas.width = bins;
    canvas.height = layers.length;
    const colour = getComputedStyle(document.documentElement).getPropertyValue("--bar").match(/[0-9a-f]{2}/gi).map((h) => parseInt(h, 16));
    const image = new ImageData(bins, layers.length);
    layers.forEach((shares, l) => shares.forEach((share, b) => image.data.set([...colour, Math.round(255 * share)], 4 * (l * bins + b))));
    canvas.getContext("2d").putImageData(image, 0, 0);
    canvas.style.height = `${Math.min(8 * layers.length, 128)}px`;
    button.type = "button";
    button.setAttribute("aria-label", `where ${data.variants[data.row.variant[i]]} keeps entries, ${layers.length} layers by ${bins} parts of the prompt; shade the prompt by it`);
    button.append(canvas);
    const rest = record.prompt === undefined ? "layers downwards, the prompt from left to right" : "layers downwards, the prompt from left to right; a click shades the prompt";
    const start = (b) => Math.ceil(b * record.tokens / bins);
    told.textContent = rest;
    button.addEventListener("pointermove", (e) => {
      const box = canvas.getBoundingClientRect(), at = (x, n) => Math.max(0, Math.min(n - 1, Math.floor(x * n)));
      const b = at((e.clientX - box.left) / box.width, bins), l = at((e.clientY - box.top) / box.height, layers.length);
      told.textContent = `layer ${l}, tokens ${start(b)} to ${start(b + 1) - 1}: ${number(100 * layers[l][b], 0)} % stay`;
      point(record, b, bins, told);
    });
    button.addEventListener("pointerleave", () => { told.textContent = rest; });
    const mean = Array.from({ length: bins }, (_, b) => layers.reduce((sum, shares) => sum + shares[b], 0) / layers.length);
    button.addEventListener("click", () => shade(i, mean));
    return [button, told];
  }

  // point quotes the part of the prompt that is pointed at.
  function point(record, b, bins, told) {
    if (record.prompt === undefined) return;
    const parts = data.prompts[record.prompt].parts;
    if (parts.length !== bins) return;
    const text = parts[b].replace(/\s+/g, " ");
    told.append(document.createElement("br"), el("q", text.length > 160 ? text.slice(0, 80) + " … " + text.slice(-80) : text));
  }

  // shade colours the prompt's parts by what a variant keeps of them, mean over layers.
  function shade(i, mean) {
    const spans = document.querySelectorAll("#prompt span");
    if (spans.length !== mean.length) return;
    spans.forEach((s, b) => {
      s.style.backgroundColor = `color-mix(in srgb, var(--bar) ${Math.round(70 * mean[b])}%, transparent)`;
      s.title = `${number(100 * mean[b], 0)} % stay`;
    });
    $("shaded").textContent = `shaded by what ${data.variants[data.row.variant[i]]} keeps, mean over layers`;
    $("prompt").parentElement.open = true;
  }

  function prompt(p) {
    const d = el("details"), pre = el("pre"), note = el("p", "", "hint");
    pre.id = "prompt";
    note.id = "shaded";
    pre.append(...p.parts.map((text) => el("span", text)));
    d.append(el("summary", "Prompt"), note);
    if (p.cut) d.append(el("p", `${p.cut} characters are left out at the places marked …`, "hint"));
    if (!p.exact) d.append(el("p", "The tokens' bounds in the text are not known: shaded parts are of equal length and so about right.", "hint"));
    d.append(pre);
    return d;
  }

  function open(i) {
    const at = data.row.record[i], r = data.records[at], box = $("record");
    opened = at;
    box.replaceChildren(el("h3", `${data.tasks[r.task]}, record ${r.id}`));
    box.append(el("p", `${data.models[r.model]}, context length ${data.lengths[r.length]}, prompt of ${r.tokens} tokens${r.truncated ? ", truncated" : ""}`, "hint"));
    if (r.prompt !== undefined) {
      box.append(prompt(data.prompts[r.prompt]));
      if (data.prompts[r.prompt].answers) box.append(el("p", "Reference: " + data.prompts[r.prompt].answers.join(" | ")));
    }
    const f = full[at], cards = el("div", undefined, "cards");
    const reference = f === undefined || data.row.error[f] ? null : data.row.text[f];
    for (let k = 0; k < data.row.record.length; k++) {
      if (data.row.record[k] === at) cards.append(card(k, k === f ? null : reference));
    }
    if (reference !== null && data.texts) {
      const key = el("p", "Against the full cache's text: ", "hint");
      key.append(el("ins", "only here"), document.createTextNode(" "), el("del", "only there"));
      box.append(key);
    }
    box.append(cards);
    box.hidden = false;
    for (const row of $("list").tBodies[0].rows) row.className = data.row.record[row.dataset.row] === at ? "open" : "";
    box.focus({ preventScroll: true });
    box.scrollIntoView({ block: "start" });
  }

  unpack().then((d) => {
    data = d;
    full = {};
    data.row.variant.forEach((v, i) => { if (v === data.full) full[data.row.record[i]] = i; });
    select("f-model", data.models);
    select("f-length", data.lengths.map(String));
    select("f-task", data.tasks);
    select("f-variant", data.variants);
    $("f-kind").addEventListener("change", filter);
    $("f-text").addEventListener("input", filter);
    $("filters").addEventListener("submit", (e) => e.preventDefault());
    head();
    const body = $("list").tBodies[0];
    const rowOf = (e) => e.target.closest("tr");
    body.addEventListener("click", (e) => open(Number(rowOf(e).dataset.row)));
    body.addEventListener("keydown", (e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); open(Number(rowOf(e).dataset.row)); } });
    filter();
    for (const note of data.notes) $("count").after(el("p", note, "note"));
    document.documentElement.dataset.ready = "yes";
  }).catch((err) => { $("count").textContent = "The records cannot be read: " + err; });
})();
