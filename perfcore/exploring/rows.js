// Rows of a run, embedded or from files that the reader opens: filtered, coloured, brushed, the best ones under
// conditions; each with the command that computes it again.

const unpacked = (text, Kind) => new Kind(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
let rows = null, dotsDrawn = [], box = null, brushed = null, picked = null, rowsDrawn = "", ofRows = 0;

const unitOf = (name) => ((COLUMN[name] || {}).unit || "").replace("1/s", "");

function embeddedRows() {
  const { axes, metrics, ...told } = data.rows;
  return {
    ...told,
    axes: Object.fromEntries(Object.entries(axes).map(([name, { values, places }]) => [name, { values, places: unpacked(places, Uint32Array) }])),
    metrics: Object.fromEntries(Object.entries(metrics).map(([name, text]) => [name, unpacked(text, Float32Array)])),
  };
}

// Controls of the rows at hand; what the document has anyway is bound once.
function showRows(found) {
  rows = found;
  box = brushed = picked = null;
  rowsDrawn = "";
  const { axes, metrics, name } = rows;
  const measured = Object.keys(metrics), varying = Object.keys(axes);
  $("#run").hidden = false;
  $("#run").classList.toggle("none", !rows.count);
  $("#run h2").textContent = rows.kind === "spec" ? `Configurations of ${name}` : `Rows of ${rows.kind === "file" ? "" : "the run "}${name}`;
  settleRows();
  const named = measured.map((one) => [one, worded(one)]), across = varying.map((axis) => [axis, axis]);
  const changed = (key) => (value) => { box = brushed = null; change({ [key]: value }); };
  refresh.splice(ofRows);
  $("#run .axes").replaceChildren(
    picker("rx", "across", named, changed("rx")), picker("ry", "up", named, changed("ry")),
    picker("rc", "colour", across, changed("rc")),
    ...varying.map((axis) => {
      const control = el("select", { name: `where-${axis}` }, el("option", { value: "" }, "all"),
        ...axes[axis].values.map((value) => el("option", { value: String(value) }, String(value))));
      const show = () => { control.value = state.where[axis] || ""; };
      control.addEventListener("change", () => {
        const where = { ...state.where };
        if (control.value) where[axis] = control.value;
        else delete where[axis];
        box = brushed = null;
        change({ where });
      });
      refresh.push(show);
      show();
      return el("label", {}, `only ${axis}`, control);
    }));
  $("#bestaxes").replaceChildren(
    picker("rb", "best by", named, changed("rb")), picker("rg", "for each", across, changed("rg")), conditions());
}

// Conditions on metrics, which rows that are shown meet.
function conditions() {
  const field = el("input", { list: "list-metrics", placeholder: "tpot_s<=50ms", name: "add-limits", autocomplete: "off",
    "aria-label": "Another condition: a column, <= or >=, and a value" });
  const held = el("div", { class: "chips" });
  const show = () => held.replaceChildren(...state.limits.map((text) => el("button", {
    type: "button", "aria-label": `Remove ${text}`,
    onclick: () => {
      change({ limits: state.limits.filter((other) => other !== text) });
      show();
    },
  }, `${text} ×`)));
  field.addEventListener("change", () => {
    const text = field.value.replaceAll(" ", "");
    const known = parsedLimit(text), there = known && rows.metrics[known.name];
    field.setCustomValidity(there || !text ? "" : known ? `these rows have no ${known.name}` : "write a column, <= or >=, and a value, e.g. tpot_s<=50ms");
    field.reportValidity();
    if (!there) return;
    if (!state.limits.includes(text)) change({ limits: [...state.limits, text] });
    field.value = "";
    show();
  });
  refresh.push(show);
  show();
  return el("div", {}, el("span", { class: "label" }, "conditions"), held, field,
    el("datalist", { id: "list-metrics" }, ...Object.keys(rows.metrics).map((name) => el("option", { value: `${name}<=` }))));
}

// A condition as the page writes it; null if it is none.
function parsedLimit(text) {
  const [, name, sign, number, unit] = /^(\w+)(<=|>=|<|>)([\d.]+(?:e[+-]?\d+)?)([a-zµ]*)$/i.exec(text) || [];
  if (!name) return null;
  const steps = PREFIXES[(COLUMN[name] || {}).unit] || [], [size] = unit ? steps.find(([, one]) => one === unit) || [NaN] : [1];
  const value = Number((Number(number) * size).toPrecision(15)); // 9 ms are 0.009 s
  return Number.isFinite(value) ? { name, sign, value } : null;
}

const MEETS = { "<=": (one, other) => one <= other, ">=": (one, other) => one >= other, "<": (one, other) => one < other, ">": (one, other) => one > other };

// What the document has: the picture of rows, buttons, and places for files.
function buildRows() {
  ofRows = refresh.length;
  const canvas = $("#run canvas");
  hover(canvas, (event) => nearest(dotsDrawn, event.offsetX, event.offsetY, 24), ({ row }) => Object.entries(valuesOf(row)).filter(([axis]) => rows.axes[axis]).map(([axis, value]) => `${axis} ${value}`)
    .concat(`${told(rows.metrics[state.rx][row], unitOf(state.rx))}, ${told(rows.metrics[state.ry][row], unitOf(state.ry))}`).join("\n"));
  let from = null;
  canvas.addEventListener("pointerdown", (event) => { from = [event.offsetX, event.offsetY]; });
  canvas.addEventListener("pointermove", (event) => {
    if (!from || !event.buttons) return;
    const [x, y] = from;
    if (Math.hypot(event.offsetX - x, event.offsetY - y) < 5) return;
    box = { x: Math.min(x, event.offsetX), y: Math.min(y, event.offsetY), width: Math.abs(event.offsetX - x), height: Math.abs(event.offsetY - y) };
    ask();
  });
  canvas.addEventListener("pointerup", (event) => {
    const moved = from && Math.hypot(event.offsetX - from[0], event.offsetY - from[1]) >= 5;
    from = null;
    if (!moved) {
      box = brushed = null;
      const found = nearest(dotsDrawn, event.offsetX, event.offsetY, 24);
      picked = found ? found.row : null;
    } else {
      brushed = new Set(dotsDrawn.filter(({ px, py }) => px >= box.x && px <= box.x + box.width && py >= box.y && py <= box.y + box.height)
        .map(({ row }) => row));
    }
    ask();
  });
  $("#rowcopy").addEventListener("click", () => copy($("#rowcopy"), $("#rowcommand").textContent));
  $("#searchcopy").addEventListener("click", () => copy($("#searchcopy"), $("#search").textContent));
  $("#load").addEventListener("click", load);
  $("#rowcsv").addEventListener("click", () => save("rows.csv", rowsCsv(), "text/csv"));
  $("#files").addEventListener("change", ({ target }) => openFiles(target.files));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    openFiles(event.dataTransfer.files);
  });
  if (data.rows) showRows(embeddedRows());
}

// Files are read here, and nothing leaves this computer.
async function openFiles(files) {
  if (!files.length) return;
  $("#opened").textContent = "Reading…";
  try {
    const read = await Promise.all([...files].map(async (file) => ({ name: file.name, buffer: await file.arrayBuffer() })));
    Object.assign(state, { where: {}, limits: [], rx: "", ry: "", rc: "", rb: "", rg: "" });
    showRows(openedRows(read));
    $("#opened").textContent = `${rows.name}: ${rows.sentence}`;
    $("#run").scrollIntoView();
  } catch (error) {
    $("#opened").textContent = error.message;
  }
  ask();
}

// Choices that the rows have.
function settleRows() {
  const measured = Object.keys(rows.metrics), varying = Object.keys(rows.axes);
  const held = (asked, ...fallbacks) => [asked, ...fallbacks, measured[0]].find((name) => measured.includes(name));
  const axis = (asked) => (varying.includes(asked) ? asked : varying.includes("device") ? "device" : varying[0] || "");
  state.rx = held(state.rx, ...X, "ttft_p99_s");
  state.ry = held(state.ry, ...Y, measured[measured.length - 1]);
  state.rb = held(state.rb, ...BEST, "ttft_p99_s");
  state.rc = axis(state.rc);
  state.rg = axis(state.rg);
}

function valuesOf(row) {
  const values = { ...rows.constant };
  for (const [axis, { values: listed, places }] of Object.entries(rows.axes)) values[axis] = listed[places[row]];
  return values;
}

function rowsShown() {
  const filters = Object.entries(state.where).filter(([axis]) => rows.axes[axis])
    .map(([axis, text]) => [rows.axes[axis].places, rows.axes[axis].values.findIndex((value) => String(value) === text)]);
  const limits = state.limits.map(parsedLimit).filter((one) => one && rows.metrics[one.name])
    .map(({ name, sign, value }) => [rows.metrics[name], MEETS[sign], value]);
  const found = [];
  for (let row = 0; row < rows.count; row++) {
    if (filters.every(([places, place]) => places[row] === place) && limits.every(([column, meets, value]) => meets(column[row], value)) &&
      (!brushed || brushed.has(row))) found.push(row);
  }
  return found;
}

// What-ifs of a row; null if no command computes it. A sweep counts all matrices in the bits of its format, as
// is then stated, and takes a format's name for that format alone.
function setsOf(row) {
  const values = valuesOf(row);
  const { model, weight_format: form } = values;
  if (data.beyond.some((name) => name in values)) return null;
  if (!data.catalogue.model[model] || !data.catalogue.weight_format[form] || meantFormat(model, form) !== form) return null;
  const plain = recordOf("weight_format", form), own = formatOf(model, form);
  const bits = WeightFormat.fields.filter((field) => plain[field] !== own[field]).map((field) => `weight_format.${field}=${plain[field]}`);
  return [...bits, ...Object.entries(rows.what_ifs).map(([column, { key, mode }]) => `${key}${mode === "scale" ? "*" : "="}${values[column]}`)];
}

// Axes of a row; those that its file lacks have their defaults.
function axesOf(row) {
  const values = valuesOf(row);
  return Object.fromEntries(Object.entries(data.axes).map(([name, axis]) => [name, values[name] ?? axis.default]));
}

function commandOfRow(row) {
  const sets = setsOf(row);
  return sets ? commandOf(axesOf(row), sets.map((text) => text.replace(/\*(.*)/, "={scale=$1}"))) : "";
}

// The row's values as the page's choices.
function load() {
  const changes = { sets: setsOf(picked) };
  for (const [name, value] of Object.entries(axesOf(picked))) {
    const found = admitted(name, String(value));
    if (found !== null) changes[name] = SERIES.includes(name) ? [found] : found;
  }
  for (const name of Object.keys(FACTORS)) changes[name] = 1;
  change(changes);
  for (const show of refresh) show();
  $("#finding").scrollIntoView();
}

function rowsCsv() {
  const names = Object.keys(rows.metrics), axes = Object.keys(valuesOf(0));
  const lines = [lineOf([...axes, ...names, "command"])];
  for (const row of rowsShown()) {
    const values = valuesOf(row);
    lines.push(lineOf([...axes.map((axis) => values[axis]), ...names.map((name) => rows.metrics[name][row]), commandOfRow(row)]));
  }
  return lines;
}

function drawRows() {
  const { rx, ry, rc, rb, rg, limits, where } = state;
  const values = rows.axes[rc] ? rows.axes[rc].values : [];
  // what has a colour above has the same here
  const order = [...new Set([...(rc === tellingAxis() ? inOrder(rc) : []), ...values])];
  const now = JSON.stringify([order, rx, ry, rc, rb, rg, limits, where, box, brushed && [...brushed], picked, innerWidth, scheme.matches]);
  if (now === rowsDrawn) return; // choices above change no row
  rowsDrawn = now;
  const ink = colours(), colour = rows.axes[state.rc];
  const xs = rows.metrics[state.rx], ys = rows.metrics[state.ry];
  if (!xs || !ys) return;
  const few = order.length <= ink.series.length;
  const shade = (place) => (few ? ink.series[order.indexOf(values[place])] : `hsl(${220 - (200 * place) / (colour.values.length - 1)} 70% ${scheme.matches ? 65 : 42}%)`);
  const found = rowsShown();
  dotsDrawn = found.filter((row) => xs[row] > 0 && ys[row] > 0).map((row) => ({ x: xs[row], y: ys[row], row, colour: colour ? shade(colour.places[row]) : ink.series[0] }));
  dots($("#run canvas"), 400, dotsDrawn, titled(state.rx), titled(state.ry), box && !brushed ? box : null);
  legend($("#run .legend"), (few ? values : [values[0], values[values.length - 1]]).filter((value) => value !== undefined)
    .map((value) => [shade(values.indexOf(value)), `${state.rc} ${value}`]));
  $("#sentence").textContent = `${rows.sentence} ${found.length.toLocaleString("en-US")} shown${brushed ? ", as selected; press an empty place to see all" : ""}.`;
  $("#run canvas").setAttribute("aria-label", `Rows: ${state.ry} over ${state.rx}, ${found.length} points`);
  bestRows(found);
  if (picked !== null && !found.includes(picked)) picked = null;
  $("#run .command").hidden = picked === null;
  if (picked === null) {
    $("#row").textContent = "";
    return;
  }
  const measured = Object.entries(rows.metrics).slice(0, 6).map(([name, column]) => `${name} ${told(column[picked], unitOf(name))}`);
  $("#row").textContent = `${Object.entries(valuesOf(picked)).filter(([axis]) => rows.axes[axis]).map(([axis, value]) => `${axis} ${value}`).join(", ")}: ${measured.join(", ")}.`;
  const command = commandOfRow(picked);
  $("#rowcommand").textContent = command || "(no command: the catalogue lacks an entry of this row, or its format's name means the model's own)";
  $("#rowcopy").hidden = $("#load").hidden = !command;
}

// The best of the rows that are shown, for each value of an axis, the best of all first.
function bestRows(found) {
  const { rb, rg } = state, column = rows.metrics[rb], sign = (COLUMN[rb] || {}).better === "most" ? -1 : 1;
  const group = rows.axes[rg], best = new Map();
  for (const row of found) {
    const place = group ? group.places[row] : 0, leader = best.get(place);
    if (!Number.isNaN(column[row]) && (leader === undefined || sign * column[row] < sign * column[leader])) best.set(place, row);
  }
  const listed = [...best.values()].sort((one, other) => sign * (column[one] - column[other]));
  const others = Object.keys(rows.axes).filter((axis) => axis !== rg);
  const measured = [...new Set([rb, ...state.limits.map((text) => (parsedLimit(text) || {}).name), ...X, "ttft_p99_s", ...Y])].filter((name) => rows.metrics[name]).slice(0, 5);
  $("#bestrows").replaceChildren(
    el("caption", {}, `The ${sign < 0 ? "highest" : "lowest"} ${worded(rb)}${rg ? ` for each ${rg}` : ""}${state.limits.length ? `, where ${state.limits.join(", ")}` : ""}`),
    el("thead", {}, el("tr", {}, ...[rg || "row", ...measured.map(worded), ...others].map((text, place) =>
      el("th", { scope: "col", ...(place > measured.length ? { class: "text" } : {}) }, text)))),
    el("tbody", {}, ...listed.map((row) => {
      const values = valuesOf(row);
      const pick = () => {
        picked = row;
        ask();
        $("#row").scrollIntoView({ block: "center" });
      };
      return el("tr", {}, el("td", {}, el("button", { type: "button", onclick: pick }, String(rg ? values[rg] : "the best"))),
        ...measured.map((name) => el("td", {}, told(rows.metrics[name][row], unitOf(name)))),
        ...others.map((axis) => el("td", { class: "text" }, String(values[axis]))));
    })));
  const absent = group ? group.values.length - best.size : 0;
  $("#nobest").textContent = !listed.length ? "No row meets these conditions." : absent ? `${absent} of ${group.values.length} values of ${rg} have no such row.` : "";
  const command = searchOf(sign);
  $("#search").textContent = command;
  $("#searching").hidden = !command;
}

// The command that finds the same among all rows, with every digit.
function searchOf(sign) {
  const { rb, rg, where } = state, limits = state.limits.map(parsedLimit).filter(Boolean);
  const only = Object.entries(where).filter(([axis]) => rows.axes[axis]);
  if (rows.kind === "spec") {
    return ["perfcore", "search", quoted(rows.given), sign < 0 ? "--maximize" : "--minimize", rb, ...(rg ? ["--by", rg] : []),
      ...[...only.map(([axis, value]) => `${axis}=${value}`), ...limits.map(({ name, sign: is, value }) => `${name}${is}${value}`), ...rows.where]
        .flatMap((text) => ["--where", quoted(text)]),
      ...rows.overrides.flatMap((text) => ["--set", quoted(text)])].join(" ");
  }
  if (rows.kind !== "run") return "";
  const literal = (axis, value) => (typeof rows.axes[axis].values[0] === "number" ? value : `'${value.replaceAll("'", "''")}'`);
  const met = ["status" in rows.constant || rows.checked ? "status = 'ok'" : "", ...only.map(([axis, value]) => `${axis} = ${literal(axis, value)}`),
    ...limits.map(({ name, sign: is, value }) => `${name} ${is} ${value}`)].filter(Boolean);
  const query = `FROM '${rows.given.replaceAll("'", "''")}/data/*.parquet'${met.length ? ` WHERE ${met.join(" AND ")}` : ""}` +
    `${rg ? ` QUALIFY row_number() OVER (PARTITION BY ${rg} ORDER BY ${rb}${sign < 0 ? " DESC" : ""}) = 1` : ""} ORDER BY ${rb}${sign < 0 ? " DESC" : ""}${rg ? "" : " LIMIT 1"}`;
  return `duckdb -c "${query.replace(/["\\$`]/g, "\\$&")}"`;
}
